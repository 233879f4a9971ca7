# SPDX-License-Identifier: BSD-3-Clause
"""The C core from Python: networks on windows of ids, and tokenizers.

A bridge only: arrays are checked, the GIL is let go, one C function is called, its
status becomes an exception. What the functions do is told in csrc/.
"""

from rnnkit.core._core import (
    FORMAT_VERSION,
    ModelFile,
    Program,
    Solver,
    State,
    Weights,
    Window,
    checksum,
    control,
    default_threads,
    draw,
    isa,
    openmp_runtime,
    read_container,
    supported_isas,
    uniform,
)

__all__ = [
    "FORMAT_VERSION",
    "ModelFile",
    "Program",
    "Solver",
    "State",
    "Weights",
    "Window",
    "checksum",
    "control",
    "default_threads",
    "draw",
    "isa",
    "openmp_runtime",
    "read_container",
    "supported_isas",
    "uniform",
]
