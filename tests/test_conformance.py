# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: RUF012
"""The kit for authors: for each of its checks, something that fails it and no other."""

import time
from dataclasses import replace

import numpy as np
import pytest

from rnnkit import plugins
from rnnkit.cells import Cell, exp, tanh
from rnnkit.core import supported_isas
from rnnkit.errors import CellError, ModelFormatError, NotFittedError
from rnnkit.plugins import BUILT_IN, make_cell, make_tokenizer
from rnnkit.testing import CellTests, TokenizerTests, check_cell, check_tokenizer
from rnnkit.testing.checks import check_names
from rnnkit.testing.elsewhere import arrays_of
from rnnkit.tokenizers import END, UNK, Tokenizer, WordTokenizer
from rnnkit.tokenizers.texts import check_text


class Plain(Cell):
    """A cell in which nothing is wrong."""

    states = ("h",)

    def step(self, x, h):
        return tanh(self.linear("h", x, h))


class Kit(CellTests):
    """The checks, without child processes but for those that are about them."""

    cell = Plain()

    def elsewhere(self, path, isa=None):
        return arrays_of(path)


# ------------------------------------------------------------------------ broken cells


class MakesItsParameters(Plain):
    def __init__(self, n=1):
        self.n = n + 1


class Remembers(Plain):
    seen = []

    def step(self, x, h):
        self.seen.append(x)
        return tanh(self.linear("h", x, h)) * (1 + 1 / len(self.seen))


class HasOneSize(Plain):
    def step(self, x, h):
        return tanh(self.linear("h", x, h, width=7))


class ReadsThreeInputs(Plain):
    def step(self, x, h):
        return tanh(self.linear("h", x * self.linear("g", h, width=3), h))


class LosesDigits(Plain):
    def step(self, x, h):
        return (tanh(self.linear("h", x, h)) + 3e4) - 3e4


class GrowsWithoutBound(Cell):
    states = ("h", "n")

    def step(self, x, h, n):
        return tanh(self.linear("h", x, h)), 10 * n + 1


class OverflowsOnTheWay(Plain):
    def step(self, x, h):
        a = exp(self.linear("h", x, h))
        return a / (1 + a)


class StartsBeyondItsLimits(Plain):
    initialisers = {"u": 5.0}
    limits = {"u": (-1.0, 1.0)}

    def step(self, x, h):
        return tanh(self.linear("h", x) + self.vector("u") * h)


class IsDeaf(Plain):
    def step(self, x, h):
        return tanh(self.vector("v") + 0.5 * h)


class HasAnotherPaper(Kit):
    def step(self, p, x, h):
        h = np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T)  # no biases
        return h, h


# -------------------------------------------------- cores that break a cell's promises


class BrokenCore(Kit):
    """A core that errs under a condition, in what it gives or in the gradients."""

    outputs = 1.0
    states_after = 1.0
    gradients = 1.0

    def errs(self, bench, batch, states, n_threads=1, **how):
        raise NotImplementedError

    def run(self, bench, batch, states=None, **how):
        found = super().run(bench, batch, states, **how)
        if self.errs(bench, batch, states, **how):
            found.outputs = found.outputs * self.outputs
            for name in found.states:
                found.states[name] = found.states[name] * self.states_after
            for name in found.gradients:
                found.gradients[name] = found.gradients[name] * self.gradients
        return found


def is_plain(bench):
    return bench.dtype == "float64" and not bench.dropout and len(bench.plain) == 1


class ErrsFromOtherStates(BrokenCore):
    outputs = 1 + 1e-6

    def errs(self, bench, batch, states, **how):
        return is_plain(bench) and states is not None


class ErrsInGradients(BrokenCore):
    gradients = 1 + 1e-7

    def errs(self, bench, batch, states, **how):
        is_usual = np.abs(bench.tensors[0]).max() < 10
        return is_plain(bench) and batch.resets is None and is_usual


class ErrsInGradientsOfFlaggedRows(BrokenCore):
    gradients = 1 + 1e-7

    def errs(self, bench, batch, states, **how):
        return is_plain(bench) and batch.resets is not None


class ErrsWhereGatesSaturate(BrokenCore):
    gradients = 1 + 1e-7

    def errs(self, bench, batch, states, **how):
        return is_plain(bench) and np.abs(bench.tensors[0]).max() > 10


class ErrsUnderDropout(BrokenCore):
    gradients = 1.01

    def errs(self, bench, batch, states, **how):
        return bench.dropout > 0


class ErrsInSingleSteps(BrokenCore):
    outputs = 1 + 1e-6

    def errs(self, bench, batch, states, **how):
        return len(batch.ids) == 1


class ErrsInShortWindows(BrokenCore):
    outputs = 1 + 1e-6

    def errs(self, bench, batch, states, **how):
        return batch.ids.shape == (2, 3)


class ErrsInRowsAlone(BrokenCore):
    outputs = 1 + 1e-6

    def errs(self, bench, batch, states, **how):
        return batch.ids.shape == (5, 1) and states is not None


class ErrsWithThreeThreads(BrokenCore):
    gradients = 1 + 1e-6

    def errs(self, bench, batch, states, n_threads=1, **how):
        return n_threads == 3


class ErrsAfterTheEndOfARow(BrokenCore):
    states_after = 1 + 1e-6

    def errs(self, bench, batch, states, **how):
        return bench.dtype == "float32" and batch.active is not None and states


class ForgetsTheSeed(Kit):
    def run(self, bench, batch, states=None, **how):
        return super().run(bench, batch, states, **how | {"seed": 0})


class ErrsInAnotherInstructionSet(Kit):
    def elsewhere(self, path, isa=None):
        found = super().elsewhere(path)
        return {name: a * (1 + 1e-6 * (isa is not None)) for name, a in found.items()}


class ErrsInAnotherProcess(Kit):
    def elsewhere(self, path, isa=None):
        found = super().elsewhere(path)
        return {name: a + np.float32(1e-3) for name, a in found.items()}


class LosesDeclarations(Kit):
    def stored(self, graph):
        found = super().stored(graph)
        first, *rest = found.parameters
        return replace(found, parameters=(replace(first, decay=False), *rest))


def kit_of(cell):
    return type(f"KitOf{type(cell).__name__}", (Kit,), {"cell": cell})


BROKEN = {
    "its_parameters_make_it_again": kit_of(MakesItsParameters()),
    "it_is_traced_to_the_same_graph_each_time": kit_of(Remembers()),
    "it_can_have_any_size": kit_of(HasOneSize()),
    "layers_of_it_can_be_stacked": kit_of(ReadsThreeInputs()),
    "the_core_gives_the_values_of_its_graph": ErrsFromOtherStates,
    "the_core_gives_the_values_of_its_paper": HasAnotherPaper,
    "float32_agrees_with_float64": kit_of(LosesDigits()),
    "values_stay_finite_over_a_long_text": kit_of(GrowsWithoutBound()),
    "values_and_gradients_stay_finite_where_inputs_are_huge": kit_of(
        OverflowsOnTheWay()
    ),
    "gradients_equal_a_complex_step": ErrsInGradients,
    "gradients_obey_resets_and_ends_of_rows": ErrsInGradientsOfFlaggedRows,
    "gradients_are_right_where_inputs_saturate": ErrsWhereGatesSaturate,
    "gradients_are_right_under_dropout": ErrsUnderDropout,
    "one_token_at_a_time_equals_a_window": ErrsInSingleSteps,
    "two_windows_with_the_state_carried_equal_a_long_one": ErrsInShortWindows,
    "a_row_alone_equals_the_row_in_a_batch": ErrsInRowsAlone,
    "any_number_of_threads_gives_the_same_bits": ErrsWithThreeThreads,
    "each_instruction_set_gives_the_same_to_rounding": ErrsInAnotherInstructionSet,
    "a_reset_starts_a_row_anew_and_an_end_holds_its_state": ErrsAfterTheEndOfARow,
    "dropout_is_drawn_from_the_seed": ForgetsTheSeed,
    "its_graph_comes_back_from_a_file": LosesDeclarations,
    "a_saved_model_runs_where_its_package_is_not_installed": ErrsInAnotherProcess,
    "its_limits_hold_from_the_first_values_on": kit_of(StartsBeyondItsLimits()),
    "it_learns_a_periodic_text": kit_of(IsDeaf()),
}


def failures(tests):
    """Names of the checks that fail, whatever they raise."""
    failed = []
    for name in check_names(type(tests)):
        try:
            getattr(tests, name)()
        except (AssertionError, CellError, NotFittedError, RuntimeError) as error:
            failed.append((name.removeprefix("test_"), str(error)[:200]))
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                failed.append((name.removeprefix("test_"), repr(error)[:200]))
    return failed


def test_each_check_of_cells_has_something_that_fails_it():
    assert [f"test_{name}" for name in BROKEN] == check_names(CellTests)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_in_one_way_fails_that_check_and_no_other(name):
    if "instruction_set" in name and len(supported_isas()) == 1:
        pytest.skip("this machine has one instruction set")
    failed = failures(BROKEN[name]())
    assert [check for check, _ in failed] == [name], failed


def test_what_is_not_broken_passes():
    assert failures(Kit()) == []


@pytest.mark.parametrize("name", BUILT_IN["cell"])
def test_every_built_in_cell_passes(name):
    check_cell(make_cell(name))


def test_a_failed_check_is_named_as_a_sentence():
    with pytest.raises(AssertionError, match="not so: values stay finite over a long"):
        check_cell(GrowsWithoutBound())


class DividesByZero(Plain):
    def step(self, x, h):
        return tanh(self.linear("h", x, h)) / (h - h)


def test_values_that_are_not_finite_are_named():
    with pytest.raises(AssertionError, match="is not finite"):
        check_cell(DividesByZero())


class Branches(Plain):
    def step(self, x, h):
        return tanh(h) if h > 0 else h


class ComputesTooEarly(Plain):
    def __init__(self, n=1):
        self.n = n
        self.twice = 2 * n


class TakesAFunction(Plain):
    def __init__(self, activation=tanh):
        self.activation = activation


class AddsUp(Cell):
    states = ("h", "n")

    def step(self, x, h, n):
        return tanh(self.linear("h", x, h)), n + 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (ComputesTooEarly(), "__init__ sets 'twice', which is no parameter"),
        (TakesAFunction(), "the parameter activation is <function tanh"),
        (AddsUp(), r"state n grows without bound, to 1e\+03 after 1000 steps"),
    ],
)
def test_what_a_cell_got_wrong_is_said(cell, message):
    with pytest.raises(AssertionError, match=message):
        check_cell(cell)


@pytest.mark.parametrize("wrong", [Plain, None, "lstm"])
def test_what_is_no_cell_is_refused(wrong):
    with pytest.raises(CellError, match="needed is an instance with a step"):
        check_cell(wrong)


def test_equations_that_cannot_be_traced_are_an_error_of_the_cell():
    with pytest.raises(CellError, match="branches"):
        check_cell(Branches())


# ------------------------------------------------------------------- broken tokenizers


class Words(WordTokenizer):
    """A tokenizer in which nothing is wrong, encoding text by text."""

    encode_documents = Tokenizer.encode_documents

    def __init__(self, *, lowercase=False, min_count=1):
        super().__init__(lowercase=lowercase, min_count=min_count)

    def encode(self, text):
        ids, _ = WordTokenizer.encode_documents(self, [check_text(text)])
        return ids

    @classmethod
    def from_state(cls, state):
        words = WordTokenizer.from_state(state)
        made = cls(lowercase=words.lowercase, min_count=words.min_count)
        made._adopt(words.vocabulary_)
        return made


class ReturnsNothing(Words):
    def set_params(self, **params):
        super().set_params(**params)


class TakesAnyParameter(Words):
    def _check_parameters(self):
        pass


class GivesLongIds(Words):
    def encode(self, text):
        return super().encode(text).astype(np.int64)


class ReadsSomethingInNothing(Words):
    def encode(self, text):
        return super().encode(text) if text != "" else np.array([self.unk_id], np.int32)


class EndsItself(Words):
    def encode(self, text):
        ids = super().encode(text)
        return np.append(ids, np.int32(self.end_id)) if "café" in text else ids


class Renames(Words):
    """Shows a token under another name."""

    names = ("", "")

    def _adopt(self, vocabulary):
        token, name = self.names
        super()._adopt([token if t == name else t for t in vocabulary])
        self.vocabulary_ = [name if t == token else t for t in vocabulary]

    @classmethod
    def from_state(cls, state):
        token, name = cls.names
        if isinstance(state.get("vocabulary"), list):
            tokens = [token if t == name else t for t in state["vocabulary"]]
            state = {**state, "vocabulary": tokens}
        return super().from_state(state)


class NamesTheEndOtherwise(Renames):
    names = ("<eos>", "<end>")


class NamesWhatNoFileHolds(Renames):
    names = ("cat", "\ud800")


class LooksAtNeighbours(Words):
    def encode_documents(self, texts):
        return super().encode_documents(text.replace("☂", "") for text in texts)


class DropsTheUnknown(Words):
    def encode(self, text):
        ids = super().encode(text)
        return ids[ids != self.unk_id]


class Shouts(Words):
    def decode(self, ids):
        return super().decode(ids).upper()


class RunsTextsTogether(Words):
    def decode(self, ids):
        return super().decode(ids).replace("\n", " ")


class SaysABlankForNothing(Words):
    def decode(self, ids):
        return super().decode(ids) or " "


class DependsOnTheContainer(Words):
    def fit(self, texts):
        super().fit(texts)
        if isinstance(texts, list):
            self._adopt([*self.vocabulary_[:2], *reversed(self.vocabulary_[2:])])
        return self


class KeepsATuple(Words):
    def get_state(self):
        state = super().get_state()
        return {**state, "vocabulary": tuple(state["vocabulary"])}


class PicklesOtherParameters(Words):
    def __getstate__(self):
        state = super().__getstate__()
        return state | {"min_count": 9} if "vocabulary_" in state else state


class TakesAnyState(Words):
    @classmethod
    def from_state(cls, state):
        try:
            return super().from_state(state)
        except ModelFormatError:
            return cls()


class KeepsTheTextInItself(Words):
    def encode(self, text):
        self._text = text
        time.sleep(1e-4)
        return super().encode(self._text)


class HasAnErrorOfItsOwn(Words):
    def _fitted(self):
        try:
            return super()._fitted()
        except NotFittedError as error:
            raise RuntimeError("not now") from error


class TakesAnythingForText(Words):
    def encode(self, text):
        return super().encode(str(text))


class ReplacesSurrogates(Words):
    def encode(self, text):
        is_text = isinstance(text, str)
        return super().encode(text.replace("\ud800", "?") if is_text else text)


class TakesASingleText(Words):
    def fit(self, texts):
        return super().fit([texts] if isinstance(texts, str) else texts)


class LearnsFromNothing(Words):
    def fit(self, texts):
        if isinstance(texts, list) and not any(texts):
            self._adopt([END, UNK])
            return self
        return super().fit(texts)


class ClipsIds(Words):
    def decode(self, ids):
        self._fitted()
        if all(isinstance(i, int) for i in ids):
            ids = np.clip(ids, 0, self.n_tokens - 1)
        return super().decode(ids)


class SortsTokensThatJoin(Words):
    def with_tokens(self, tokens):
        made = super().with_tokens(tokens)
        made._adopt(sorted(made.vocabulary_))
        return made


BROKEN_TOKENIZERS = {
    "its_parameters_make_it_again": ReturnsNothing,
    "parameters_out_of_range_are_refused": TakesAnyParameter,
    "a_text_is_ids_of_the_vocabulary": GivesLongIds,
    "an_empty_text_has_no_ids": ReadsSomethingInNothing,
    "the_end_is_no_part_of_a_text": EndsItself,
    "every_token_has_a_name_of_its_own": NamesTheEndOtherwise,
    "a_text_has_the_same_ids_alone_and_among_others": LooksAtNeighbours,
    "a_character_it_has_not_seen_is_unknown_or_kept": DropsTheUnknown,
    "what_is_decoded_has_the_same_ids": Shouts,
    "the_end_is_decoded_as_a_line_break": RunsTextsTogether,
    "no_ids_are_decoded_as_no_text": SaysABlankForNothing,
    "the_same_texts_give_the_same_tokenizer": DependsOnTheContainer,
    "its_state_comes_back_through_json": KeepsATuple,
    "pickle_gives_it_back": PicklesOtherParameters,
    "malformed_states_are_refused": TakesAnyState,
    "a_model_with_it_is_saved_and_loaded": NamesWhatNoFileHolds,
    "several_threads_may_use_it_at_once": KeepsTheTextInItself,
    "it_asks_for_fit_first": HasAnErrorOfItsOwn,
    "what_is_no_text_is_refused": TakesAnythingForText,
    "a_lone_surrogate_is_refused": ReplacesSurrogates,
    "a_single_text_is_no_list_of_texts": TakesASingleText,
    "texts_that_hold_nothing_are_refused": LearnsFromNothing,
    "what_are_no_ids_is_refused": ClipsIds,
    "new_tokens_join_behind_the_old_ones": SortsTokensThatJoin,
}


@pytest.fixture
def no_registered_names(monkeypatch):
    monkeypatch.setattr(plugins, "_registered", {})


def test_each_check_of_tokenizers_has_something_that_fails_it():
    assert [f"test_{name}" for name in BROKEN_TOKENIZERS] == check_names(TokenizerTests)


@pytest.mark.usefixtures("no_registered_names")
@pytest.mark.parametrize("name", BROKEN_TOKENIZERS)
def test_a_tokenizer_broken_in_one_way_fails_that_check_and_no_other(name):
    tests = TokenizerTests()
    tests.tokenizer = BROKEN_TOKENIZERS[name]()
    if name != "its_parameters_make_it_again":  # the next check sets parameters as well
        tests.refused = [({"min_count": 0}, "min_count")]
    failed = failures(tests)
    assert [check for check, _ in failed] == [name], failed


@pytest.mark.usefixtures("no_registered_names")
def test_a_tokenizer_that_is_not_broken_passes():
    check_tokenizer(Words())


@pytest.mark.parametrize("name", BUILT_IN["tokenizer"])
def test_every_built_in_tokenizer_passes(name):
    check_tokenizer(make_tokenizer(name))


def test_the_kit_does_not_need_pytest(run_python):
    code = "import sys; sys.modules['pytest'] = None; import rnnkit.testing"
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
