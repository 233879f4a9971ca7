# SPDX-License-Identifier: BSD-3-Clause
"""Characters."""

from typing import ClassVar

from rnnkit.tokenizers.counting import CountingTokenizer


class CharTokenizer(CountingTokenizer):
    """Characters (code points), white space included.

    Decoding puts them side by side; an unknown one becomes U+FFFD. The whole of a file
    is a document, unless the user says otherwise.

    Parameters
    ----------
    lowercase : bool, default=False
        Turn each character into its lower case, whatever stands around it.
    min_df : int or float, default=1
        Keep characters of at least so many documents, or of this share of them.
    min_count : int, default=1
        Keep characters that occur at least so often, all documents together.
    max_features : int, default=None
        Keep so many of the commonest characters, `<eos>` and `<unk>` not counted.
    vocabulary : iterable of str or mapping of str to int, default=None
        The characters by id, instead of learning them; `<eos>` and `<unk>` are put in
        front unless they are among them.

    Attributes
    ----------
    vocabulary_ : list of str
        `<eos>`, `<unk>`, then the commonest character, and so on; at equal counts in
        the order of code points.
    end_id, unk_id : int
        The ids of `<eos>` and `<unk>`.

    Examples
    --------
    >>> from rnnkit import CharTokenizer
    >>> CharTokenizer().fit(["banana"]).encode("nab")
    array([3, 2, 4], dtype=int32)
    """

    documents: ClassVar[str] = "file"
    rule = "char"
