# SPDX-License-Identifier: BSD-3-Clause
"""Words and punctuation."""

from typing import ClassVar

from rnnkit.tokenizers.counting import CountingTokenizer


class WordTokenizer(CountingTokenizer):
    """Words and punctuation of running text.

    A word is a run of letters, digits and underscores with their accents; an
    apostrophe, a hyphen or a full stop between two of them belongs to it (don't,
    well-known, U.S), and so does one of ``, : /`` between two digits (1,000 10:30).
    Every other character is a token for itself, and so are each Chinese character and
    each kana. White space parts tokens and is no token. csrc/text/split.h has the rule
    in full. Languages that write no blanks between words, such as Thai, want
    `CharTokenizer` or a plugin.

    The text's own `<unk>` is the unknown token, its own `<eos>` the end of a document.
    Decoding puts blanks where they are read: ``["Hello", ",", "world"]`` is
    "Hello, world". Encoding this again gives the same ids.

    Parameters
    ----------
    lowercase : bool, default=False
        Turn each character into its lower case, whatever stands around it.
    min_df : int or float, default=1
        Keep tokens of at least so many documents, or of this share of them.
    min_count : int, default=1
        Keep tokens that occur at least so often, all documents together.
    max_features : int, default=None
        Keep so many of the commonest tokens, `<eos>` and `<unk>` not counted.
    vocabulary : iterable of str or mapping of str to int, default=None
        The tokens by id, instead of learning them; `<eos>` and `<unk>` are put in front
        unless they are among them.

    Attributes
    ----------
    vocabulary_ : list of str
        `<eos>`, `<unk>`, then the commonest token, and so on; at equal counts in the
        order of code points.
    end_id, unk_id : int
        The ids of `<eos>` and `<unk>`.

    Examples
    --------
    >>> from rnnkit import WordTokenizer
    >>> WordTokenizer().tokenize("Don't pay $3.50, said the U.S. bank.")
    ["Don't", 'pay', '$', '3.50', ',', 'said', 'the', 'U.S', '.', 'bank', '.']
    """

    tokens_are_words: ClassVar[bool] = True
    rule = "word"
