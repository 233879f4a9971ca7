# SPDX-License-Identifier: BSD-3-Clause
"""What every tokenizer must do: our own, and yours."""

from __future__ import annotations

import copy
import json
import pickle
import re
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rnnkit import plugins
from rnnkit.cells import RNN
from rnnkit.compiler import trace
from rnnkit.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    NotFittedError,
    ParameterError,
)
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import LanguageModel, load, save
from rnnkit.runtime.encoder import TextEncoder
from rnnkit.testing.checks import Array, require, run_checks

TEXTS = (
    "the cat sat on the mat, and the dog sat on the cat",
    "a small language model reads the words of a text one by one",
    "what it reads changes its state; what it says next depends on the state",
    "Zoë and Søren drink naïve coffee in a café",
    "我来到北京清华大学 学习语言",
    "numbers such as 3.14 and 2026 are read as well",
)
ODD_TEXTS = ("", " ", "\n\n a", "日本 ☂ \x00", "<eos> <unk>", "a\tb\r\nc", "ab " * 999)


class TokenizerTests:
    """What every tokenizer must pass; subclass it, name the tokenizer, and run pytest.

    ::

        from rnnkit.testing import TokenizerTests

        class TestSpam(TokenizerTests):
            tokenizer = SpamTokenizer()

    Attributes
    ----------
    tokenizer : Tokenizer
        An instance, not fitted.
    texts : sequence of str
        What it learns from; at least two that differ.
    odd_texts : sequence of str
        What it must encode, though it may not know their characters.
    is_exact : bool or None, default=None
        Whether a text that it learned from is decoded as it was. None: not asked.
    broken : mapping of str to object
        Values of its state that `from_state` must refuse, by key.
    refused : sequence of (dict, str)
        Parameters that `fit` must refuse, and what the error says of them.
    """

    tokenizer: Any = None
    texts: Sequence[str] = TEXTS
    odd_texts: Sequence[str] = ODD_TEXTS
    is_exact: bool | None = None
    broken: Mapping[str, Any] = MappingProxyType({})
    refused: Sequence[tuple[dict[str, Any], str]] = ()

    def unfitted(self) -> Any:
        """A tokenizer that has learned nothing."""
        return copy.deepcopy(self.tokenizer)

    def fitted(self) -> Any:
        """A tokenizer that has learned from the texts."""
        return self.unfitted().fit(iter(self.texts))

    # --------------------------------------------------------------------- parameters

    def test_its_parameters_make_it_again(self) -> None:
        """`get_params`, `set_params` and clone: what a grid search needs."""
        from sklearn.base import clone

        parameters = self.tokenizer.get_params()
        twin = type(self.tokenizer)(**parameters)
        require(twin.get_params() == parameters, f"{twin!r} has other parameters")
        require(clone(twin).get_params() == parameters, "its clone has others")
        require(twin.set_params(**parameters) is twin, "set_params returns self")

    def test_parameters_out_of_range_are_refused(self) -> None:
        """When it is fitted, as by scikit-learn's estimators."""
        for parameters, message in self.refused:
            unfitted = self.unfitted().set_params(**parameters)
            _require_raises(ParameterError, message, unfitted.fit, self.texts)

    # ---------------------------------------------------------------------------- ids

    def test_a_text_is_ids_of_the_vocabulary(self) -> None:
        """int32, one axis, each less than `n_tokens`."""
        fitted = self.fitted()
        for text in (*self.texts, *self.odd_texts):
            ids = fitted.encode(text)
            kind = getattr(ids, "dtype", None), getattr(ids, "ndim", None)
            require(kind == (np.int32, 1), f"encode({text!r}) is {ids!r}")
            inside = all(0 <= i < fitted.n_tokens for i in ids)
            require(
                inside, f"encode({text!r}) gives ids that are not in the vocabulary"
            )

    def test_an_empty_text_has_no_ids(self) -> None:
        """rnnkit itself says where a text ends."""
        found = self.fitted().encode("")
        require(len(found) == 0, f"the empty text has the ids {found}")

    def test_the_end_is_no_part_of_a_text(self) -> None:
        """`end_id` is rnnkit's to put, unless it is written in the text."""
        fitted = self.fitted()
        for text in (*self.texts, *self.odd_texts):
            if text and "<eos>" not in text:
                holds = fitted.end_id not in fitted.encode(text)
                require(holds, f"encode({text[:60]!r}) holds end_id")

    def test_every_token_has_a_name_of_its_own(self) -> None:
        """`vocabulary_` names each id; the end and the unknown have fixed names."""
        fitted = self.fitted()
        names = fitted.vocabulary_
        all_names = all(isinstance(name, str) and name for name in names)
        require(all_names, "vocabulary_ holds what is no name")
        twice = {name for name in names if names.count(name) > 1}
        require(not twice, f"vocabulary_ holds {twice} twice")
        require(len(names) == fitted.n_tokens, "n_tokens is not their number")
        require(names[fitted.end_id] == "<eos>", "the end is not called <eos>")
        if fitted.unk_id is not None:
            require(names[fitted.unk_id] == "<unk>", "unk_id is not called <unk>")

    def test_a_text_has_the_same_ids_alone_and_among_others(self) -> None:
        """`encode_documents` is `encode` of each."""
        fitted = self.fitted()
        texts = [*self.texts, *self.odd_texts]
        ids, offsets = fitted.encode_documents(iter(texts))
        require(offsets[0] == 0 and offsets[-1] == len(ids), f"offsets are {offsets}")
        for i, text in enumerate(texts):
            part = ids[offsets[i] : offsets[i + 1]]
            alone = np.array_equal(part, fitted.encode(text))
            require(alone, f"{text[:60]!r} has other ids among others")

    def test_a_character_it_has_not_seen_is_unknown_or_kept(self) -> None:
        """Nothing disappears without a word."""
        fitted = self.fitted()
        ids = fitted.encode("☂")
        unknown = fitted.unk_id is not None and fitted.unk_id in ids
        kept = unknown or "☂" in fitted.decode(ids)
        require(kept, f"'☂' has the ids {ids}: neither unk_id nor decoded again")

    def test_what_is_decoded_has_the_same_ids(self) -> None:
        """And is the same text, where the tokenizer says so."""
        fitted = self.fitted()
        for text in self.texts:
            ids = fitted.encode(text)
            decoded = fitted.decode(ids)
            same = np.array_equal(fitted.encode(decoded), ids)
            require(same, f"{text!r} is decoded as {decoded!r}, which has other ids")
            if self.is_exact:
                require(decoded == text, f"{text!r} is decoded as {decoded!r}")

    def test_the_end_is_decoded_as_a_line_break(self) -> None:
        """So that texts which are generated stand below each other."""
        fitted = self.fitted()
        first, second = (fitted.encode(text) for text in self.texts[:2])
        found = fitted.decode([*first, fitted.end_id, *second])
        expected = f"{fitted.decode(first)}\n{fitted.decode(second)}"
        require(found == expected, f"decoded is {found!r} instead of {expected!r}")

    def test_no_ids_are_decoded_as_no_text(self) -> None:
        """An empty text."""
        found = self.fitted().decode([])
        require(found == "", f"decode([]) is {found!r}")

    # ---------------------------------------------------------------- what is learned

    def test_the_same_texts_give_the_same_tokenizer(self) -> None:
        """Fitted twice, from an iterator and from a list."""
        fitted, twin = self.fitted(), self.unfitted()
        require(twin.fit(list(self.texts)) is twin, "fit returns self")
        same = twin.vocabulary_ == fitted.vocabulary_
        require(same, "the same texts give another vocabulary")
        self._require_same(twin, fitted, "fitted again")

    def test_its_state_comes_back_through_json(self) -> None:
        """What a model file keeps of it."""
        fitted = self.fitted()
        state = fitted.get_state()
        named = state.get("vocabulary") == fitted.vocabulary_
        require(named, "the state has no 'vocabulary' that equals vocabulary_")
        found = type(fitted).from_state(json.loads(json.dumps(state)))
        self._require_same(found, fitted, "from its state")

    def test_pickle_gives_it_back(self) -> None:
        """As joblib sends it to other processes."""
        fitted = self.fitted()
        self._require_same(pickle.loads(pickle.dumps(fitted)), fitted, "from pickle")

    def test_malformed_states_are_refused(self) -> None:
        """A file is not to be trusted."""
        fitted = self.fitted()
        state, cls = fitted.get_state(), type(fitted)
        bad = [{}, state | {"vocabulary": 7}, state | {"vocabulary": ["a", "a"]}]
        bad += [state | {name: value} for name, value in self.broken.items()]
        for name in {"vocabulary", *self.broken}:
            bad.append({key: value for key, value in state.items() if key != name})
        for content in bad:
            _require_raises(ModelFormatError, "", cls.from_state, content)

    def test_a_model_with_it_is_saved_and_loaded(self) -> None:
        """By its name, which the caller allows."""
        cls = type(self.tokenizer)
        known = plugins.origin("tokenizer", cls)
        name = known.name if known else f"tested_{cls.__name__}"
        if not known:
            plugins.register_tokenizer(name, cls, replace=True)
        fitted = self.fitted()
        config = NetworkConfig(fitted.n_tokens, 3, (trace(RNN(), 3, 3),))
        values = Network(config).initial_values(np.random.default_rng(0))
        origin = {"name": name, "distribution": None, "version": None, "is_name": True}
        encoder = TextEncoder(fitted, origin)
        model = LanguageModel.from_values(config, values, encoder)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.rnn"
            save(model, path)
            loaded = load(path, plugins=[name])
        same = loaded.score(list(self.texts)) == model.score(list(self.texts))
        require(same, "the model that was loaded gives another score")

    def test_several_threads_may_use_it_at_once(self) -> None:
        """Fitted, it does not change."""
        fitted = self.fitted()
        texts = [*self.texts, *self.odd_texts]
        expected = [fitted.encode(text) for text in texts]
        wrong: list[str] = []

        def work() -> None:
            for text, ids in zip(texts * 5, expected * 5, strict=True):
                if not np.array_equal(fitted.encode(text), ids):
                    wrong.append(text)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        require(not wrong, f"{wrong[:1]} has other ids while other threads encode")

    # -------------------------------------------------------------- what is no input

    def test_it_asks_for_fit_first(self) -> None:
        """The error tells the remedy."""
        unfitted = self.unfitted()
        _require_raises(NotFittedError, "fit", unfitted.encode, "a")
        _require_raises(NotFittedError, "fit", unfitted.decode, [0])
        _require_raises(NotFittedError, "fit", unfitted.get_state)

    def test_what_is_no_text_is_refused(self) -> None:
        """The error names the type; the ids of another thing would mean nothing."""
        fitted = self.fitted()
        for bad in (b"bytes", 7, None):
            name = type(bad).__name__
            _require_raises(InputTypeError, name, fitted.encode, bad)
            _require_raises(InputTypeError, name, self.unfitted().fit, ["a", bad])

    def test_a_lone_surrogate_is_refused(self) -> None:
        """No file can hold it, so it never comes from one."""
        _require_raises(InputError, "surrogate", self.fitted().encode, "a\ud800")

    def test_a_single_text_is_no_list_of_texts(self) -> None:
        """It would be read letter by letter."""
        _require_raises(InputError, "string", self.unfitted().fit, "a single text")

    def test_texts_that_hold_nothing_are_refused(self) -> None:
        """Unless it learns nothing from texts, as the bytes."""
        vocabulary = self.fitted().vocabulary_
        for empty in ([], [""]):
            try:
                found = self.unfitted().fit(empty).vocabulary_
            except InputError:
                continue
            require(found == vocabulary, f"from {empty} it learns {found}")

    def test_what_are_no_ids_is_refused(self) -> None:
        """Out of the vocabulary, or no whole numbers."""
        fitted = self.fitted()
        for bad in ([fitted.n_tokens], [-1], [0, 1 << 40]):
            _require_raises(InputError, str(bad[-1]), fitted.decode, bad)
        for wrong in ([0.5], [[0]], "a", [None]):
            _require_raises(InputTypeError, "", fitted.decode, wrong)

    # ------------------------------------------------------------------------- growth

    def test_new_tokens_join_behind_the_old_ones(self) -> None:
        """Where the vocabulary can grow: old ids stay, new texts are known in full."""
        fitted, whole = self.unfitted().fit(self.texts[:1]), self.fitted()
        if not fitted.can_grow:
            _require_raises(ParameterError, "", fitted.new_tokens, self.texts)
            _require_raises(ParameterError, "", fitted.with_tokens, ["a"])
            return
        old, new = list(fitted.vocabulary_), fitted.new_tokens(self.texts)
        known = set(old)
        expected = [token for token in whole.vocabulary_ if token not in known]
        require(new == expected, f"new_tokens gives {new[:9]}, not {expected[:9]}")
        grown = fitted.with_tokens(new)
        require(fitted.vocabulary_ == old, "with_tokens changes the tokenizer itself")
        require(grown.vocabulary_ == old + new, "new tokens do not stand behind")
        ends = (fitted.end_id, fitted.unk_id) == (grown.end_id, grown.unk_id)
        require(ends, "the ids of the end or of the unknown token have moved")
        for text in self.texts:
            found, read = (
                [one.vocabulary_[i] for i in one.encode(text)] for one in (grown, whole)
            )
            same = len(found) == len(read) and all(
                r in (f, "<unk>") for f, r in zip(found, read, strict=True)
            )
            require(same, f"{text[:60]!r} is read otherwise")

    # ------------------------------------------------------------------------- helpers

    def _require_same(self, found: Any, fitted: Any, how: str) -> None:
        """Both have one vocabulary, and give the same ids."""
        require(found.vocabulary_ == fitted.vocabulary_, f"{how}: other vocabulary")
        same = found.get_params() == fitted.get_params()
        require(same, f"{how}: other parameters")
        for text in (*self.texts, *self.odd_texts):
            ids: Array = found.encode(text)
            same = np.array_equal(ids, fitted.encode(text))
            require(same, f"{how}: {text[:60]!r} has other ids")


def check_tokenizer(tokenizer: Any, texts: Sequence[str] = TEXTS) -> None:
    """Run all checks of `TokenizerTests` on a tokenizer, without pytest.

    Parameters
    ----------
    tokenizer : Tokenizer
        An instance, not fitted.
    texts : sequence of str, optional
        What it learns from; a few lines in three scripts by default.

    Raises
    ------
    AssertionError
        A check fails; the message says which.
    """
    tests = TokenizerTests()
    tests.tokenizer, tests.texts = tokenizer, texts
    run_checks(tests)


def _require_raises(
    kind: type[Exception], words: str, call: Callable[..., Any], *arguments: Any
) -> None:
    """Raise AssertionError unless the call raises this, with these words."""
    shown = f"{getattr(call, '__name__', call)}{arguments!r:.200}"
    try:
        call(*arguments)
    except kind as error:
        said = re.search(words, str(error))
        require(said, f"the error of {shown} says nothing of {words!r}: {error}")
        return
    except Exception as error:
        raise AssertionError(
            f"{shown} raises {error!r} instead of rnnkit.errors.{kind.__name__}"
        ) from error
    raise AssertionError(f"{shown} raises no rnnkit.errors.{kind.__name__}")
