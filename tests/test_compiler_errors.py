# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be traced is refused: the line of the cell, what is wrong, the remedy."""

import builtins
import math

import numpy as np
import pytest

import rnnkit.cells
from rnnkit.cells import (
    LSTM,
    RNN,
    Cell,
    concat,
    maximum,
    mean,
    sigmoid,
    split,
    tanh,
)
from rnnkit.cells import max as row_max
from rnnkit.compiler import trace
from rnnkit.errors import CellError, RnnkitError

ELSEWHERE = []


class OneState(Cell):
    states = ("h",)


# One class for each mistake; the line that is to blame ends in "# here".


class BranchesOnAValue(OneState):
    """select(condition, a, b)"""

    def step(self, x, h):
        if mean(h) > 0:  # here
            return h
        return -h


class TakesTheBuiltinMaximum(OneState):
    """maximum(a, b)"""

    def step(self, x, h):
        return builtins.max(h, 0.0)  # here


class SumsWithTheBuiltin(OneState):
    """import sum, mean and max from rnnkit.cells"""

    def step(self, x, h):
        return h * builtins.sum(h)  # here


class MixesWidths(OneState):
    """add mixes values of widths 2 and 3"""

    def step(self, x, h):
        return tanh(x + h)  # here


class CallsNumPy(OneState):
    """given to numpy.tanh"""

    def step(self, x, h):
        return np.tanh(h)  # here


class CallsALargerNumPyFunction(OneState):
    """given to numpy.linalg.norm|given to numpy.norm"""

    def step(self, x, h):
        return h / np.linalg.norm(h)  # here


class MakesAnArray(OneState):
    """turned into a NumPy array"""

    def step(self, x, h):
        return np.asarray(h)  # here


class MultipliesByAnArray(OneState):
    """self.vector"""

    def step(self, x, h):
        return np.ones(3) * h  # here


class AddsAnArray(OneState):
    """add is given ndarray"""

    def step(self, x, h):
        return h + np.ones(3)  # here


class CallsMath(OneState):
    """the functions of rnnkit.cells"""

    def step(self, x, h):
        return math.tanh(h)  # here


class MultipliesMatrices(OneState):
    """a matrix product is self.linear"""

    def step(self, x, h):
        return h @ x  # here


class IndexesAValue(OneState):
    """a value is indexed with 0"""

    def step(self, x, h):
        return h[0] * h  # here


class DividesByZero(OneState):
    """a value is divided by 0"""

    def step(self, x, h):
        return h / 0  # here


class AssignsToAPart(OneState):
    """write split, select or concat"""

    def step(self, x, h):
        h[0] = 0.0  # here
        return h


class CallsAFunctionThatIsNotThere(OneState):
    """rnnkit.cells has no 'cumsum'; instead: add the parts of split"""

    def step(self, x, h):
        return rnnkit.cells.cumsum(h)  # here


class BiasIsAWord(OneState):
    """bias is 'no'; it is True or False"""

    def step(self, x, h):
        return self.linear("h", x, h, bias="no")  # here


class OneWeightOrTwo(OneState):
    """one weight or two?"""

    def step(self, x, h):
        for _ in range(2):
            h = tanh(self.linear("u", h))  # here
        return h


class OneNameForTwoOperands(OneState):
    """two values, and both would have the weight weight_sh"""

    def step(self, x, h):
        return self.linear("u", x, h, names=("s", "s"))  # here


class NamesTooFew(OneState):
    """it is a word for each of them"""

    def step(self, x, h):
        return self.linear("u", x, h, names="s")  # here


class TakesTheBiasForAVector(OneState):
    """bias_hh is used twice"""

    def step(self, x, h):
        return self.linear("h", x, h) * self.vector("bias_hh", width=4)  # here


class SplitsUnevenly(OneState):
    """a value of width 3 is split into 2"""

    def step(self, x, h):
        a, b = split(h, 2)  # here
        return concat(b, a)


class SplitsIntoOtherWidths(OneState):
    """a value of width 3 is split into (1, 1)"""

    def step(self, x, h):
        a, b = split(h, (1, 1))  # here
        return concat(a, b)


class ConcatenatesAList(OneState):
    """concat is given no value of the step"""

    def step(self, x, h):
        return concat([h, h])  # here


class HasHeadsThatDoNotDivide(OneState):
    """a number that divides all of these widths"""

    def step(self, x, h):
        return tanh(self.linear("h", h, heads=2))  # here


class UnpacksAValue(OneState):
    """self.linear('if', x, h)"""

    def step(self, x, h):
        a, b = h  # here
        return a + b


class AsksForALength(OneState):
    """x.width"""

    def step(self, x, h):
        return h / len(h)  # here


class UsesAMethod(OneState):
    """no attribute 'mean'"""

    def step(self, x, h):
        return h - h.mean()  # here


class UsesInfinity(OneState):
    """constants are finite"""

    def step(self, x, h):
        return maximum(h, -math.inf)  # here


class UsesNaN(OneState):
    """constants are finite"""

    def step(self, x, h):
        return h + float("nan")  # here


class UsesAHugeInteger(OneState):
    """constants are finite"""

    def step(self, x, h):
        return h + 10**400  # here


class UsesAComplexNumber(OneState):
    """add is given complex"""

    def step(self, x, h):
        return h + 1j  # here


class AddsAString(OneState):
    """add is given str"""

    def step(self, x, h):
        return h + "1"  # here


class AddsNone(OneState):
    """add is given NoneType"""

    def step(self, x, h):
        return h + None  # here


class ForgetsToUnpack(OneState):
    """add is given tuple"""

    def step(self, x, h):
        return h + self.linear("proj", x)  # here


class GivesBlocksToAFunction(OneState):
    """unpacked first"""

    def step(self, x, h):
        return tanh(self.linear("proj", x))  # here


class RaisesToAFraction(OneState):
    """write sqrt(x)"""

    def step(self, x, h):
        return h**0.5  # here


class RaisesANumber(OneState):
    """exp(x * log(base))"""

    def step(self, x, h):
        return 2**h  # here


class TakesARemainder(OneState):
    """no remainder"""

    def step(self, x, h):
        return h % 2  # here


class JoinsConditions(OneState):
    """(a > 0) * (b > 0)"""

    def step(self, x, h):
        return (h > 0) & (h < 1)  # here


class UsesAValueOfAnotherTrace(OneState):
    """keep nothing between traces"""

    def step(self, x, h):
        ELSEWHERE.append(h)
        return h + ELSEWHERE[0]  # here


class ReducesTwoValues(OneState):
    """for two values there is (a + b) / 2"""

    def step(self, x, h):
        return mean([h, x])  # here


class TakesTheMaximumOfTwo(OneState):
    """maximum(a, b)"""

    def step(self, x, h):
        return row_max(h, 0.0)  # here


class NamesABlockTwice(OneState):
    """for one block write blocks=1"""

    def step(self, x, h):
        return self.linear("reset", x)  # here


class UsesABadLabel(OneState):
    """a letter for each block"""

    def step(self, x, h):
        return self.linear("a b", x)  # here


class UsesNoLabel(OneState):
    """a letter for each block"""

    def step(self, x, h):
        return self.linear(x, h)  # here


class MultipliesNothing(OneState):
    """linear('a') has no operand"""

    def step(self, x, h):
        return self.linear("a")  # here


class MultipliesANumber(OneState):
    """an operand of linear('a') is float"""

    def step(self, x, h):
        return self.linear("a", 1.0)  # here


class AsksForNoWidth(OneState):
    """a width is 0"""

    def step(self, x, h):
        return self.linear("a", x, width=0)  # here


class AsksForNoBlocks(OneState):
    """blocks is 0"""

    def step(self, x, h):
        return self.linear("a", x, blocks=0)  # here


class NamesAVectorBadly(OneState):
    """a name is an identifier"""

    def step(self, x, h):
        return h * self.vector("my vector")  # here


class UsesOneNameForTwoShapes(OneState):
    """one name is one parameter"""

    def step(self, x, h):
        a = self.linear("a", x)
        b = self.linear("a", x, width=2)  # here
        return a + mean(b)


class UsesWhatIsNotThere(OneState):
    """AttributeError"""

    def step(self, x, h):
        return h * self.gain  # here


class UnpacksTooFewBlocks(OneState):
    """ValueError: too many values to unpack"""

    def step(self, x, h):
        i, f = self.linear("ifgo", x, h)  # here
        return i * f


class FailsInAHelper(OneState):
    """given to numpy.exp"""

    def softly(self, value):
        return np.exp(value)  # here

    def step(self, x, h):
        return self.softly(h)


class NeverEnds(OneState):
    """a loop without end"""

    def step(self, x, h):
        while True:
            h = h * 1.5  # here


MISTAKES = [
    value
    for value in globals().values()
    if isinstance(value, type) and issubclass(value, OneState) and value is not OneState
]


def blamed_lines(cell):
    """The text before "# here" in this class."""
    import inspect

    source = inspect.getsource(cell)
    return [line.strip() for line in source.splitlines() if line.endswith("# here")]


@pytest.mark.parametrize("cell", MISTAKES, ids=lambda cell: cell.__name__)
def test_a_mistake_is_named_with_its_line_and_remedy(cell):
    if cell is UsesAValueOfAnotherTrace:
        trace(cell(), 2, 3)
    with pytest.raises(CellError) as caught:
        trace(cell(), 2, 3)
    message = str(caught.value)
    assert "test_compiler_errors.py, line " in message
    (line,) = blamed_lines(cell)
    assert line in message
    assert any(part in message for part in cell.__doc__.split("|"))
    ELSEWHERE.clear()


def test_cell_errors_are_value_errors_and_errors_of_rnnkit():
    assert issubclass(CellError, ValueError)
    assert issubclass(CellError, RnnkitError)


# ------------------------------------------------------------------ what step returns


RETURNED = [
    (lambda self, x, h, c: h, "step returns 1 values, needed are 2 (h, c;"),
    (lambda self, x, h, c: (h, c, h, c), "step returns 4 values"),
    (lambda self, x, h, c: None, "step returns 1 values"),
    (lambda self, x, h, c: (h, None), "step returns nothing as state 'c'"),
    (lambda self, x, h, c: (h, "c"), "step returns 'c' as state 'c'"),
    (lambda self, x, h, c: (0.5, h, c), "step returns a plain number as output"),
    (lambda self, x, h, c: self.linear("in", x, h), "the 2 blocks of linear('in')"),
    (lambda self, x, h, c: (h, np.ones(3)), "step returns ndarray as state 'c'"),
    (lambda self, x, h, c: (h, x), "a value of width 2 as state 'c', which has width"),
    (lambda self, x, h, c: (x, c), "a value of width 2 as state 'h'"),
    (lambda self, x, h, c: (h, self.linear("ab", x)), "returns tuple of 2 as state"),
    (lambda self, x, h, c: (h, math.nan), "a constant is nan"),
    (lambda self, x, h: (h, h), "step does not take x and the states h, c"),
    (lambda self, x, h, c, d: (h, c), "step does not take x and the states h, c"),
]


@pytest.mark.parametrize(("step", "message"), RETURNED, ids=lambda a: str(a)[:40])
def test_what_step_returns_is_checked(step, message):
    cell = type("Made", (Cell,), {"states": ("h", "c"), "step": step})()
    with pytest.raises(CellError) as caught:
        trace(cell, 2, 3)
    assert message in str(caught.value)
    assert "test_compiler_errors.py, line " in str(caught.value)


def test_a_step_that_sets_an_attribute_is_refused():
    class Hidden(OneState):
        def step(self, x, h):
            self.last = h
            return h

    with pytest.raises(CellError, match=r"sets self\.last.*list it in `states`"):
        trace(Hidden(), 2, 3)


def test_a_cell_without_a_step_says_so():
    with pytest.raises(CellError, match="OneState has no step"):
        trace(OneState(), 2, 3)


# ------------------------------------------------------------------------ declarations


DECLARED = [
    ({"states": "h"}, "states is 'h'"),
    ({"states": ()}, "name the states"),
    ({"states": ("h", "h")}, "each name stands once"),
    ({"states": ("x",)}, "x is the input"),
    ({"states": ("i",)}, "weight_ih its weight"),
    ({"states": ("1",)}, "a state is named '1'"),
    ({"states": ("h 1",)}, "a state is named 'h 1'"),
    ({"gates": "ifgo"}, "gates is 'ifgo', which is no label of a linear"),
    ({"initializers": {"bias_ih": 1.0}}, "is 'initialisers' meant?"),
    ({"limit": {"bias_ih": (0, 1)}}, "is 'limits' meant?"),
    ({"hidden_multiple": 0}, "hidden_multiple is 0"),
    ({"hidden_multiple": 2}, "hidden_size is 3; it is a multiple of 2"),
    ({"states": (1,)}, "a state is named 1"),
    ({"states": tuple(f"h{i}" for i in range(65))}, "at most 64"),
    ({"widths": {"h": 0}}, "widths['h'] is 0"),
    ({"widths": {"h": "absent"}}, "widths['h'] is 'absent'"),
    ({"widths": {"c": 3}}, "widths names 'c', which is no state"),
    ({"widths": 3}, "widths is 3"),
    ({"initial": {"h": math.nan}}, "initial['h'] is nan"),
    ({"initial": {"h": "zero"}}, "initial['h'] is 'zero'"),
    ({"initialisers": {"weight_xx": 1.0}}, "its parameters are weight_ih, bias_ih"),
    ({"initialisers": {"bias_ih.z": 1.0}}, "which the step does not use"),
    ({"initialisers": {"bias_ih": "orthogonal"}}, "is for weights, not for vectors"),
    ({"initialisers": {"bias_ih": "lecun"}}, "'lecun' is none of zeros"),
    ({"initialisers": {"weight_ih": "constant"}}, "needs a number"),
    ({"initialisers": {"weight_ih": ("normal", -1)}}, "is negative"),
    ({"initialisers": {"weight_ih": ("normal", "x")}}, "needs a number"),
    ({"initialisers": {"weight_ih": math.inf}}, "is not finite"),
    ({"initialisers": {"weight_ih": None}}, "no number, no name and no pair"),
    ({"initialisers": ["weight_ih"]}, "it is a dictionary"),
    ({"limits": {"weight_hh": (0, 1)}}, "limits names 'weight_hh'"),
    ({"limits": {"weight_ih": (1, 0)}}, "(lowest, highest)"),
    ({"limits": {"weight_ih": 1}}, "(lowest, highest)"),
    ({"weight_decay": {"weight_ih": 0.5}}, "it is True or False"),
    ({"weight_decay": {"v": True}}, "weight_decay names 'v'"),
    ({"gates": 3}, "a label is 3"),
]


@pytest.mark.parametrize(("wrong", "message"), DECLARED, ids=lambda a: str(a)[:40])
def test_declarations_are_checked(wrong, message):
    def step(self, x, *states):
        return [tanh(self.linear("a", x)), *states[1:]]

    declarations = {"states": ("h",), "step": step, **wrong}
    with pytest.raises(CellError) as caught:
        trace(type("Wrong", (Cell,), declarations)(), 2, 3)
    assert str(caught.value).startswith("Wrong: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 2.5, "3", None, True, 2**23])
@pytest.mark.parametrize("name", ["input_size", "hidden_size"])
def test_sizes_are_checked(name, size):
    sizes = {"input_size": 2, "hidden_size": 3, name: size}
    with pytest.raises(ValueError, match=f"{name} is {size!r}"):
        trace(RNN(), **sizes)


def test_a_class_instead_of_a_cell_is_refused_and_left_alone():
    with pytest.raises(CellError, match=r"LSTM is a class, needed is a cell: LSTM\(\)"):
        trace(LSTM, 2, 3)
    assert "linear" not in vars(LSTM)


def test_a_property_in_the_way_is_named():
    class Owner(OneState):
        @property
        def hidden_size(self):
            return 7

        def step(self, x, h):
            return h

    with pytest.raises(CellError, match="does not let the trace set 'hidden_size'"):
        trace(Owner(), 2, 3)


def test_linear_and_vector_outside_of_a_step_are_refused():
    with pytest.raises(CellError, match="inside step"):
        RNN().linear("a", 1.0)
    with pytest.raises(CellError, match="inside step"):
        RNN().vector("a")


@pytest.mark.parametrize("value", [None, "x", [1.0], 1j])
def test_functions_outside_of_a_step_take_plain_numbers_alone(value):
    with pytest.raises(CellError, match="sigmoid is given"):
        sigmoid(value)
    assert sigmoid(0.0) == 0.5


class SwapsItsArguments(Cell):
    states = ("h", "c")

    def step(self, x, c, h):
        return c, h


def test_states_in_another_order_than_the_arguments_are_refused():
    with pytest.raises(CellError, match="step takes c, h, the states are h, c"):
        trace(SwapsItsArguments(), 2, 3)


class HasANameOfRnnkit(Cell):
    states = ("h",)

    def __init__(self, linear=1):
        self.linear = linear

    def step(self, x, h):
        return h


def test_a_parameter_that_hides_a_tool_of_the_step_is_refused():
    with pytest.raises(CellError, match="a parameter is called 'linear'"):
        trace(HasANameOfRnnkit(), 2, 3)


class ForgetsToStore(Cell):
    states = ("h",)

    def __init__(self, n=1):
        self.m = n

    def step(self, x, h):
        return tanh(h)


def test_a_parameter_that_is_not_stored_is_named():
    with pytest.raises(CellError, match=r"does not store it; write self\.n = n"):
        trace(ForgetsToStore(), 2, 3)
    with pytest.raises(CellError, match="does not store it"):
        repr(ForgetsToStore())


def test_one_weight_for_a_state_and_for_what_comes_of_it():
    class Loop(Cell):
        states = ("h",)

        def step(self, x, h):
            for _ in range(3):
                h = tanh(self.linear("u", h, names="s"))
            return h

    (weight, bias) = trace(Loop(), 2, 3).parameters
    assert (weight.name, bias.name) == ("weight_sh", "bias_sh")


def test_a_projection_may_have_the_name_that_pytorch_gives_it():
    class Projected(Cell):
        states = ("h",)
        gates = "a"

        def step(self, x, h):
            m = tanh(self.linear("a", x, h))
            return self.linear("h", m, names="r", bias=False)

    names = [p.name for p in trace(Projected(), 3, 3).parameters]
    assert names[-1] == "weight_h_r"
