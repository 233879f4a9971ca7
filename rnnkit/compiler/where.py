# SPDX-License-Identifier: BSD-3-Clause
"""Errors that name the line of the cell's own code."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from types import FrameType, TracebackType
from typing import Any

from rnnkit.errors import CellError

_NOT_THE_AUTHORS = ("rnnkit.compiler.", "rnnkit.cells.base", "numpy")


def cell_error(what: str, remedy: str = "", where: str | None = None) -> CellError:
    """An error of a cell's author: what is wrong, where, and what to write instead.

    Parameters
    ----------
    what, remedy : str
        Without a full stop.
    where : str, optional
        The place in the code; found from the call stack by default.
    """
    place = where if where is not None else text_of_place(calling_place())
    text = f"{place}: {what}" if place else what
    return CellError(f"{text}; {remedy}" if remedy else text)


def line_of_function(function: Any) -> str:
    """Where a function begins."""
    code = getattr(function, "__code__", None)
    return _place(code.co_filename, code.co_firstlineno) if code else ""


def line_of_class(cell: Any) -> str:
    """Where a cell's class begins; its name where no file has it."""
    cls = type(cell)
    try:
        filename, (_, line) = inspect.getfile(cls), inspect.getsourcelines(cls)
    except (OSError, TypeError):
        return cls.__name__
    return f"{cls.__name__}, {_place(filename, line)}"


def line_of_traceback(traceback: TracebackType | None) -> str:
    """The innermost line of a cell's own code that an exception passed."""
    found = ""
    while traceback is not None:
        if not _is_foreign(traceback.tb_frame):
            found = _place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def calling_place() -> tuple[str, int] | None:
    """File and line of the cell's own code that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_foreign(frame):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else None


def text_of_place(place: tuple[str, int] | None) -> str:
    """A place as messages have it, with the line itself; "" for none."""
    return _place(*place) if place else ""


def _is_foreign(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    frozen = frame.f_code.co_filename.startswith("<frozen ")
    return frozen or module == "rnnkit.cells" or module.startswith(_NOT_THE_AUTHORS)


def _place(filename: str, line: int) -> str:
    source = linecache.getline(filename, line).strip()
    folder, name = os.path.split(filename)
    if os.path.exists(os.path.join(folder, "__init__.py")):  # cell.py says too little
        name = f"{os.path.basename(folder)}/{name}"
    place = f"{name}, line {line}"
    return f"{place} ({source})" if source else place
