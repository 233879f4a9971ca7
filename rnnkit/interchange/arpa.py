# SPDX-License-Identifier: BSD-3-Clause
"""N-gram models in the ARPA format, and their mixture with a recurrent one.

A line of the format is log10 p(w | context), the words, and log10 of the weight with
which shorter contexts speak where a word does not follow this one.
"""

import gzip
import importlib.util
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from rnnkit.errors import ConversionError, MissingPackageError
from rnnkit.runtime.corpus import Corpus
from rnnkit.runtime.model import LanguageModel
from rnnkit.runtime.predictor import Predictor
from rnnkit.runtime.requests import check_real
from rnnkit.runtime.rows import Rows
from rnnkit.runtime.scorer import unwrapped

BEGIN, END = "<s>", "</s>"
UNKNOWN = ("<unk>", "<UNK>")
SPACES = " \t\r\n"  # others are part of words
NO_UNKNOWN = -99.0  # log10 p(<unk>) that means there is none; KenLM puts in -100
Context = tuple[int, ...]


def read_ngrams(path: str | os.PathLike[str]) -> "NGram | KenLM":
    """Read an n-gram model: by the package kenlm where it is installed.

    Parameters
    ----------
    path : str or path
        An ARPA file, packed by gzip or not; with kenlm a binary file of KenLM, too.

    Raises
    ------
    ConversionError
        The file cannot be read.
    """
    if importlib.util.find_spec("kenlm") is None:
        return NGram(path)
    return KenLM(path)


class NGram:
    """A back-off model of n-grams; probabilities are natural logarithms.

    Parameters
    ----------
    path : str or path
        An ARPA file; .gz is unpacked.

    Attributes
    ----------
    order : int
        The longest n-gram.
    words : dict of str to int
        The vocabulary; "<s>" among it, which is never predicted.

    Raises
    ------
    ConversionError
        The file is malformed; the message says in which line.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.words: dict[str, int] = {}
        self.order = 0
        self._backoff: dict[Context, float] = {}
        self._after: dict[Context, dict[int, float]] = {}
        opener: Any = gzip.open if str(path).endswith(".gz") else open
        try:
            with opener(Path(path), "rt", encoding="utf-8") as file:
                self._read(file)
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise ConversionError(
                f"{path}: no ARPA file: {error}; binary files of KenLM need the "
                "package kenlm"
            ) from None
        if not self._after:
            raise ConversionError(f"{path}: no ARPA file: it has no n-grams")

    def log_probability(self, context: Context, word: int) -> float:
        """Return log p(word | context); contexts are cut to what the model knows."""
        context = self._known(context)
        weight = 0.0
        while True:
            found = self._after.get(context, {}).get(word)
            if found is not None:
                return weight + found
            if not context:
                return -math.inf
            weight += self._backoff.get(context, 0.0)
            context = context[1:]

    def id_of(self, word: str) -> int | None:
        """Return the number of a word; None where it is unknown."""
        return self.words.get(word)

    def log_probabilities(self, context: Context, ids: np.ndarray) -> np.ndarray:
        """Return log p(w | context) of each of the words."""
        return np.asarray(self.log_distribution(context)[ids])

    def log_distribution(self, context: Context) -> np.ndarray:
        """Return log p(w | context) of every word, (len(words),)."""
        context = self._known(context)
        result = np.full(len(self.words), -np.inf)
        for n in range(len(context) + 1):  # the shortest first, each overrules it
            part = context[len(context) - n :]
            if n:
                result += self._backoff.get(part, 0.0)
            after = self._after.get(part, {})
            result[list(after)] = list(after.values())
        return result

    def _known(self, context: Context) -> Context:
        return context[max(0, len(context) - self.order + 1) :]

    # ---------------------------------------------------------------------- reading

    def _read(self, file: TextIO) -> None:
        counts: dict[int, int] = {}
        found: dict[int, int] = {}
        section: int | None = None
        ended = False
        for number, line in enumerate(file, 1):
            line = line.strip(SPACES)
            if match := re.fullmatch(r"ngram\s+(\d+)\s*=\s*(\d+)", line):
                counts[int(match[1])] = int(match[2])
            elif match := re.fullmatch(r"\\(\d+)-grams:", line):
                section = int(match[1])
                self.order = max(self.order, section)
            elif line == "\\end\\":
                ended = True
                break
            elif section is not None and line:
                self._entry(re.split(r"[ \t]+", line), section, number)
                found[section] = found.get(section, 0) + 1
        if not ended or found != {n: c for n, c in counts.items() if c}:
            raise ConversionError(
                f"no whole ARPA file: it announces {counts} n-grams and holds {found}"
                + ("" if ended else ", and does not end with \\end\\")
            )

    def _entry(self, fields: list[str], n: int, number: int) -> None:
        """Keep one n-gram."""
        try:
            log_p, backoff = float(fields[0]), float(fields[1 + n])
        except ValueError:
            raise ConversionError(
                f"line {number}: no number where one belongs"
            ) from None
        except IndexError:
            log_p, backoff = _number(fields[0], number), 0.0
        words = fields[1 : 1 + n]
        if len(words) != n or len(fields) > n + 2:
            raise ConversionError(
                f"line {number}: {len(fields)} fields where a probability, {n} words "
                "and perhaps a weight belong"
            )
        if n == 1:
            self.words.setdefault(words[0], len(self.words))
        unknown = [word for word in words if word not in self.words]
        if unknown:
            raise ConversionError(f"line {number}: {unknown[0]!r} is no 1-gram")
        *context, last = (self.words[word] for word in words)
        if words[-1] != BEGIN:  # whose probability means nothing
            after = self._after.setdefault(tuple(context), {})
            after[last] = log_p * math.log(10.0)
        if backoff:
            self._backoff[(*context, last)] = backoff * math.log(10.0)


def _number(text: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConversionError(f"line {number}: {text!r} is no number") from None


class KenLM:
    """The same by the package kenlm: less memory, and its binary files; float32.

    Parameters
    ----------
    path : str or path
        An ARPA file, or a binary one of `build_binary`.

    Attributes
    ----------
    order : int
        The longest n-gram.

    Raises
    ------
    MissingPackageError
        kenlm is not there.
    ConversionError
        kenlm does not read the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import kenlm
        except ImportError:
            raise MissingPackageError(
                "this needs the package kenlm: pip install kenlm; an ARPA file is "
                "read by NGram without it"
            ) from None
        config = kenlm.Config()
        config.show_progress = False
        try:
            self._model = kenlm.Model(str(path), config)
        except (OSError, RuntimeError) as error:
            raise ConversionError(f"{path}: {error}") from None
        self._new_state = kenlm.State
        self._words: dict[str, int] = {}  # those asked for; kenlm keeps the list back
        self._spelled: list[str] = []
        self.order = int(self._model.order)

    def id_of(self, word: str) -> int | None:
        """Return a number for a word; None where it is unknown."""
        if word in UNKNOWN:
            p = self._model.BaseScore(self._state(()), word, self._new_state())
            if p < NO_UNKNOWN:
                return None
        elif word not in self._model:
            return None
        if word not in self._words:
            self._words[word] = len(self._spelled)
            self._spelled.append(word)
        return self._words[word]

    def log_probability(self, context: Context, word: int) -> float:
        """Return log p(word | context); contexts are cut to what the model knows."""
        return float(self.log_probabilities(context, np.array([word]))[0])

    def log_probabilities(self, context: Context, ids: np.ndarray) -> np.ndarray:
        """Return log p(w | context) of each of the words."""
        state, after = self._state(context), self._new_state()
        score, words = self._model.BaseScore, self._spelled
        distinct, places = np.unique(ids, return_inverse=True)
        found = np.array([score(state, words[i], after) for i in distinct], float)
        return np.asarray(found[places] * math.log(10.0))

    def _state(self, context: Context) -> Any:
        """What kenlm has read."""
        state = self._new_state()
        self._model.NullContextWrite(state)
        for i in context[max(0, len(context) - self.order + 1) :]:
            after = self._new_state()
            if self._spelled[i] == BEGIN:
                self._model.BeginSentenceWrite(after)
            else:
                self._model.BaseScore(state, self._spelled[i], after)
            state = after
        return state


class Interpolation(Predictor):
    """A recurrent model and n-grams: ``(1 - weight) * p_model + weight * p_ngram``.

    Each document is a sentence of the n-gram model, from "<s>" to "</s>". Tokens that
    the n-gram model has not share its "<unk>" evenly; what it knows and the model does
    not is never predicted, and keeps its probability.

    Parameters
    ----------
    model : LanguageModel, or a fitted estimator
        Of words; never changes.
    ngram : NGram or KenLM
        As `read_ngrams` gives it.
    weight : float, default=0.5
        The n-grams' share, 0 to 1.

    Attributes
    ----------
    n_unknown : int
        Tokens of the model that are "<unk>" to the n-gram model, its own included.
    """

    def __init__(
        self, model: Any, ngram: NGram | KenLM, *, weight: float = 0.5
    ) -> None:
        self.model = unwrapped(model, LanguageModel)
        self.encoder = self.model.encoder
        self.options = self.model.options
        self.ngram = ngram
        self.weight = check_real("weight", weight, 0.0, 1.0)
        self._ids, self._shares = self._matched()
        self.n_unknown = int(np.count_nonzero(self._shares < 0.0))

    def _matched(self) -> tuple[np.ndarray, np.ndarray]:
        """Return of each token the word of the n-grams, and the log of its share."""
        id_of = self.ngram.id_of
        tokens = [str(token) for token in self.encoder.tokens]
        tokens[self.encoder.end_id] = END
        unknown = next((i for u in UNKNOWN if (i := id_of(u)) is not None), None)
        found = [id_of(token) for token in tokens]
        special = {unknown, id_of(BEGIN), None}
        missing = [t for t, w in zip(tokens, found, strict=True) if w in special]
        if missing and unknown is None:
            raise ConversionError(
                "the n-gram model has no <unk> and does not know "
                f"{len(missing)} tokens of the model, such as {missing[0]!r}; give "
                "both the same vocabulary"
            )
        ids = np.array([unknown if w in special else w for w in found])
        shares = np.where(ids == unknown, -math.log(max(1, len(missing))), 0.0)
        return ids, shares

    def _context(self, ids: Sequence[int] | np.ndarray) -> Context:
        """What the n-gram model has read when these tokens of a document are read."""
        begin = self.ngram.id_of(BEGIN)
        first = () if begin is None else (begin,)
        last = ids[max(0, len(ids) - self.ngram.order) :]
        return (*first, *(int(i) for i in self._ids[np.asarray(last, int)]))

    def _log_likelihood(self, corpus: Corpus, *, carry_state: bool) -> np.ndarray:
        log_p = self.model._log_likelihood(corpus, carry_state=carry_state)
        return self._mixed(log_p, np.array(list(self._ngram_scores(corpus))))

    def _ngram_scores(self, corpus: Corpus) -> Iterator[float]:
        for document in corpus.targets(self.encoder.end_id).documents():
            for t, token in enumerate(document):
                score = self.ngram.log_probability(
                    self._context(document[:t]), int(self._ids[token])
                )
                yield score + self._shares[token]

    def _score(
        self, corpus: Corpus, *, carry_state: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return also where the target is the likeliest, which takes all of p."""
        targets = corpus.targets(self.encoder.end_id)
        contexts = [
            self._context(document[:t])
            for document in targets.documents()
            for t in range(len(document))
        ]
        hits = np.empty(len(contexts), bool)
        steps = self.model.engine.sweep(
            corpus.inputs(self.encoder.end_id),
            carry_state=carry_state,
            n_threads=self.n_threads,
        )
        for step in steps:
            for places, log_p in step.distributions(self.n_threads):
                mixed = self._with_ngrams(log_p, [contexts[i] for i in places])
                hits[places] = mixed.argmax(axis=1) == targets.ids[places]
        return self._log_likelihood(corpus, carry_state=carry_state), hits

    def _next(self, prompts: Corpus) -> np.ndarray:
        contexts = [self._context(document) for document in prompts.documents()]
        return self._with_ngrams(self.model._next(prompts), contexts)

    def _rows(self, prompts: Sequence[np.ndarray]) -> "InterpolatedRows":
        return InterpolatedRows(self, self.model._rows(prompts), prompts)

    def _with_ngrams(self, log_p: np.ndarray, contexts: list[Context]) -> np.ndarray:
        """Mix distributions (D, V) with those of the n-grams after the contexts."""
        find = self.ngram.log_probabilities
        theirs = np.array([find(context, self._ids) for context in contexts])
        return self._mixed(log_p, theirs + self._shares)

    def _mixed(self, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            weights = np.log([1.0 - self.weight, self.weight])
        return np.logaddexp(weights[0] + mine.astype(np.float64), weights[1] + theirs)


class InterpolatedRows:
    """Running texts of a model and n-grams side by side."""

    def __init__(
        self, mixture: Interpolation, rows: Rows, prompts: Sequence[np.ndarray]
    ) -> None:
        self._mixture = mixture
        self._rows = rows
        self._read = [list(map(int, prompt)) for prompt in prompts]

    def log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the next token of each row, (B, V)."""
        end = self._mixture.encoder.end_id
        contexts = []
        for ids in self._read:  # what stands behind the last end of a document
            start = max(
                (i + 1 for i, token in enumerate(ids) if token == end), default=0
            )
            contexts.append(self._mixture._context(ids[start:]))
        return self._mixture._with_ngrams(self._rows.log_probabilities(), contexts)

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be taken several times."""
        self._rows.take(rows)
        self._read = [list(self._read[row]) for row in rows]

    def feed(self, tokens: Sequence[int]) -> None:
        """Give each row its next token."""
        self._rows.feed(tokens)
        for ids, token in zip(self._read, tokens, strict=True):
            ids.append(int(token))
