# SPDX-License-Identifier: BSD-3-Clause
"""The C library inside the package: where its header, its library and its source are.

Building rnnkit puts them here (setup.py): include/rnnkit.h, lib/librnnkit.a and .so,
and src/rnnkit.c, the whole library in one file.
"""

from pathlib import Path

from rnnkit.errors import NotBuiltError

_HERE = Path(__file__).parent


def get_include() -> str:
    """Return the folder of rnnkit.h, for a C compiler's `-I`."""
    return str(_built("include/rnnkit.h").parent)


def get_lib() -> str:
    """Return the folder of librnnkit.a and librnnkit.so, for a C compiler's `-L`."""
    return str(_built("lib/librnnkit.a").parent)


def source() -> str:
    """Return rnnkit.c, which reads rnnkit.h and is the whole library."""
    return _built("src/rnnkit.c").read_text("utf-8")


def header() -> str:
    """Return rnnkit.h."""
    return _built("include/rnnkit.h").read_text("utf-8")


def _built(name: str) -> Path:
    path = _HERE / name
    if not path.is_file():
        raise NotBuiltError(
            f"there is no {path}: this rnnkit was built without its C library; install "
            "it again, or in a source tree run: python setup.py build_ext --inplace"
        )
    return path
