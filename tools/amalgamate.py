# SPDX-License-Identifier: BSD-3-Clause
"""Write the C library as one file, rnnkit.c, and its header, rnnkit.h.

    python tools/amalgamate.py build/amalgamation

All headers of csrc/ come first, once each, then all C files. What is not the interface
is static there, so that nothing else can be linked, and a compiler leaves out what only
training needs. Standard library only: setup.py runs this file, too.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Of csrc/, from the ground up; the last one is the interface.
FOLDERS = [
    "base",
    "text",
    "kernels",
    "linalg",
    "sampling",
    "program",
    "heads",
    "solvers",
    "network",
    "modelfile",
    "api",
]

PROLOGUE = """
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "rnnkit.h"

/* The same bits with -std=gnu11 as with -std=c11: no fma but those that are written. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#endif

/* What only training calls. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#elif defined(_MSC_VER)
#pragma warning(disable : 4505)
#endif
"""

COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include "([^"]+)"\n', re.MULTILINE)
DROPPED = re.compile(
    r"^/\* SPDX-License-Identifier: \S+ \*/\n|^#define _GNU_SOURCE\n"
    r"|^#include <rnnkit\.h>\n",
    re.MULTILINE,
)
MACRO = re.compile(r"^[ \t]*#[ \t]*define (\w+)", re.MULTILINE)
# A function of a header; a table of a header or of a C file. Both begin a line.
FUNCTION = re.compile(
    r"^(?=(?:const |enum |struct |unsigned )*\w+ \**rk_\w+\()", re.MULTILINE
)
TABLE = re.compile(
    r"^(?:extern (?=const )|(?=const struct \w+ (?:rk_\w+|RK_\w+\([^)]*\)) = ))",
    re.MULTILINE,
)


def source(name: str) -> str:
    """A file of csrc/ without the lines that stand once in front of all."""
    text = (ROOT / "csrc" / name).read_text("utf-8")
    text = text.replace("/* SPDX-License-Identifier: BSD-3-Clause\n *\n", "/*\n", 1)
    return DROPPED.sub("", text)


def headers(names: list[str], found: dict[str, str]) -> None:
    """Add the headers that files include to `found`, each behind those it needs."""
    for name in names:
        text = source(name)
        headers(INCLUDE.findall(text), found)
        if not name.endswith((".c", ".inc.h")):
            found.setdefault(name, text)


def without_comments(text: str) -> str:
    """C code without comments and blank lines."""
    code = COMMENT.sub(lambda m: " " if m[0].startswith("/") else m[0], text)
    return re.sub(r"[ \t]+$|^[ \t]*\n", "", code, flags=re.MULTILINE)


def expanded(text: str, seen: set[str]) -> str:
    """Code with its templates in place of their includes; comments come once."""

    def template(match: re.Match[str]) -> str:
        name = match[1]
        if not name.endswith(".inc.h"):
            return ""
        again = name in seen
        seen.add(name)
        body = expanded(source(name), seen)
        return without_comments(body) if again else body

    return INCLUDE.sub(template, text)


def parts() -> Iterator[str]:
    """The parts of rnnkit.c."""
    notice = (ROOT / "LICENSE").read_text("utf-8").rstrip()
    yield "/* SPDX-License-Identifier: BSD-3-Clause\n *\n"
    yield " * rnnkit in one file, with the interface rnnkit.h.\n"
    yield re.sub(r"^", " * ", "\n" + notice, flags=re.MULTILINE).replace(
        " * \n", " *\n"
    )
    yield "\n */\n" + PROLOGUE
    files = [
        path.relative_to(ROOT / "csrc").as_posix()
        for folder in FOLDERS
        for path in sorted((ROOT / "csrc" / folder).glob("*.c"))
    ]
    found: dict[str, str] = {}
    headers(files, found)
    for name, text in found.items():
        text = TABLE.sub("static ", FUNCTION.sub("static ", INCLUDE.sub("", text)))
        yield f"\n/* csrc/{name} */\n{text}"
    seen: set[str] = set()
    for name in files:
        text = TABLE.sub("static ", expanded(source(name), seen))
        yield f"\n/* csrc/{name} */\n{text}"
        yield from (f"#undef {macro}\n" for macro in dict.fromkeys(MACRO.findall(text)))


def amalgamate(folder: Path, include: Path) -> None:
    """Write rnnkit.c into `folder` and rnnkit.h into `include`, which are made."""
    folder.mkdir(parents=True, exist_ok=True)
    include.mkdir(parents=True, exist_ok=True)
    (folder / "rnnkit.c").write_text("".join(parts()), "utf-8")
    shutil.copyfile(ROOT / "include" / "rnnkit.h", include / "rnnkit.h")


if __name__ == "__main__":
    amalgamate(Path(sys.argv[1]), Path(sys.argv[1]))
