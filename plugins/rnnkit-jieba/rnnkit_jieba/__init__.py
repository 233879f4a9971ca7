# SPDX-License-Identifier: BSD-3-Clause
"""Chinese words, found by rnnkit under the name "jieba"."""

from rnnkit_jieba.tokenizer import JiebaTokenizer

__all__ = ["JiebaTokenizer"]
