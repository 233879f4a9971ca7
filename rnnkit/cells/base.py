# SPDX-License-Identifier: BSD-3-Clause
"""Cell: the base of every cell, its equations and its declarations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Self, TextIO

from rnnkit.compiler import differentiate, trace
from rnnkit.errors import CellError


class Cell:
    """A recurrent cell, declared as its equations.

    Subclass it, name the states, and write ``step``::

        class MinimalGate(Cell):
            states = ("h",)

            def step(self, x, h):
                f = sigmoid(self.linear("f", x, h))
                return (1 - f) * h + f * tanh(self.linear("g", x, f * h))

    ``step(self, x, *states)`` is run once on symbols and compiled, forward and
    backward. It returns one new value for each state, the first of them also the
    output; or the output and then one value for each state. Loops and ifs on plain
    numbers are unrolled.

    Parameters of the cell are arguments of ``__init__``, which only stores them under
    their names; they are then reached as ``cell__name`` in a grid search.

    Attributes
    ----------
    states : tuple of str
        Names of what is carried from step to step, in the order of ``step``'s
        arguments.
    gates : str or tuple of str, optional
        The label whose parameters are called ``weight_ih``, ``bias_hh``, ...; by
        default that of the first ``linear``.
    widths : dict
        Units of a state where it is not ``hidden_size``: a number, or the name of an
        attribute of the cell.
    initial : dict
        The value a state starts from where it is not 0.
    initialisers : dict
        First values by parameter (``"weight_hh"``) or by block (``"bias_ih.f"``): a
        number, "zeros", "uniform", "normal", "glorot", "orthogonal", "identity", a pair
        such as ``("normal", 0.01)``, or the name of an attribute of the cell. By
        default weights are uniform within 1 / sqrt(hidden_size) of 0, biases and
        vectors 0.
    limits : dict
        ``(lowest, highest)`` by parameter, kept by every update.
    hidden_multiple : int or str
        What ``hidden_size`` must be a multiple of: the number of heads, say, or the
        name of the attribute that holds it.
    weight_decay : dict
        True or False by parameter; by default weights decay, biases and vectors do not.
    """

    states: Sequence[str] = ()
    gates: str | Sequence[str] | None = None
    widths: Mapping[str, int | str] = {}
    initial: Mapping[str, float | str] = {}
    initialisers: Mapping[str, Any] = {}
    limits: Mapping[str, Any] = {}
    weight_decay: Mapping[str, bool] = {}
    hidden_multiple: int | str = 1

    hidden_size: int
    input_size: int

    def step(self, x: Any, *states: Any) -> Any:
        """The equations: from x and the states to the output and the new states."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def linear(
        self,
        label: str | Sequence[str],
        *operands: Any,
        width: int | None = None,
        bias: bool = True,
        blocks: int | None = None,
        heads: int = 1,
        names: str | Sequence[str] | None = None,
    ) -> Any:
        """W x + U h + ... + biases, a block of rows for each gate; within ``step``.

        Parameters
        ----------
        label : str or sequence of str
            A letter for each block ("ifgo"), or their names (("reset", "update")).
        *operands : values of the step
            Each has a weight of its own, named after the label and the operand.
        width : int, optional
            Units of a block; ``hidden_size`` by default.
        bias : bool, default=True
            One bias for each operand, as in PyTorch; False: none.
        blocks : int, optional
            Take `label` as a plain name of so many blocks.
        heads : int, default=1
            Block-diagonal weights: of `heads` equal parts of the units each sees its
            own part of every operand alone.
        names : str or sequence of str, optional
            What the operands are called in the names of weights and biases; by default
            x and states by their names, others by their position.

        Returns
        -------
        A value for each block; the value itself where there is one.
        """
        raise CellError("linear belongs inside step, which the compiler runs")

    def vector(
        self,
        name: str,
        *,
        width: int | None = None,
        blocks: str | Sequence[str] | int | None = None,
    ) -> Any:
        """A learned vector, such as a peephole or a gain; within ``step`` only.

        Parameters
        ----------
        name : str
            The parameter's name; the same name is the same vector.
        width : int, optional
            Units; ``hidden_size`` by default.
        blocks : str, sequence of str or int, optional
            Several vectors in one parameter, as in ``blocks="ifo"``.

        Returns
        -------
        A value for each block; the value itself where there is one.
        """
        raise CellError("vector belongs inside step, which the compiler runs")

    def disassemble(
        self,
        *,
        input_size: int = 16,
        hidden_size: int = 16,
        dtype: str = "float32",
        file: TextIO | None = None,
    ) -> None:
        """Print the cell's graph and the program that the core makes of it.

        Parameters
        ----------
        input_size, hidden_size : int, default=16
        dtype : {"float32", "float64"}, default="float32"
        file : text stream, optional
            Standard output by default.
        """
        from rnnkit.core import Program  # cells are written and traced without it

        graph = differentiate(trace(self, input_size, hidden_size))
        program = Program(graph.to_words(), dtype)
        print(f"{self!r}\n\n{graph}\n{program}", file=file)

    def _repr_html_(self) -> str:
        """The equations as a drawing, which is what a notebook shows of a cell."""
        from html import escape

        return f"{escape(repr(self))}{trace(self, 16, 16)._repr_html_()}"

    # ----------------------------------------------------- parameters, as scikit-learn

    @classmethod
    def _parameter_names(cls) -> list[str]:
        if cls.__init__ is object.__init__:
            return []
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise CellError(
                    f"{cls.__name__}.__init__ takes *{parameter.name}; "
                    "write each parameter out, with its default"
                )
        return sorted(parameter.name for parameter in parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of ``__init__`` and their values."""
        names = self._parameter_names()
        for name in names:
            if not hasattr(self, name):
                raise CellError(
                    f"{type(self).__name__}.__init__ takes {name!r} and does not store "
                    f"it; write self.{name} = {name}"
                )
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of ``__init__``; unknown names raise ValueError."""
        known = self._parameter_names()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; "
                    f"it has {', '.join(known) or 'none'}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={value!r}" for name, value in self.get_params().items()
        )
        return f"{type(self).__name__}({given})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.get_params() == other.get_params()

    def __hash__(self) -> int:
        return hash(type(self))
