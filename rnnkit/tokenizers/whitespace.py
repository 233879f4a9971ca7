# SPDX-License-Identifier: BSD-3-Clause
"""Tokens that stand apart already."""

from typing import ClassVar

from rnnkit.tokenizers.counting import CountingTokenizer


class WhitespaceTokenizer(CountingTokenizer):
    """What stands between white space, as `str.split` has it: text that is tokenized.

    The text's own `<unk>` is the unknown token, its own `<eos>` the end of a document.
    Decoding puts a blank between tokens.

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
    >>> from rnnkit import WhitespaceTokenizer
    >>> WhitespaceTokenizer().fit(["the cat saw the dog"]).vocabulary_
    ['<eos>', '<unk>', 'the', 'cat', 'dog', 'saw']
    """

    tokens_are_words: ClassVar[bool] = True
    rule = "whitespace"
