# SPDX-License-Identifier: BSD-3-Clause
"""Build the two extension modules, and the C library of the object files of the core.

All else about the package is in pyproject.toml.

No flag here depends on the machine that builds: instruction sets are chosen when the
library is loaded. Contraction is off, so that a fused multiply-add stands exactly where
one is written, and no flag changes the arithmetic of the process that loads us.
"""

import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

ROOT = Path(__file__).parent
prerequisites = runpy.run_path(str(ROOT / "tools" / "prerequisites.py"))
amalgamation = runpy.run_path(str(ROOT / "tools" / "amalgamate.py"))

COMPILE = [
    "-std=c11",
    "-O3",
    "-g0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wall",
]
LIBRARY = amalgamation["FOLDERS"]
CORE = [name for name in LIBRARY if name != "api"]
TEXT = ["base", "text"]
C_LIBRARY = Path("rnnkit", "c_library")

OPENMP_PROGRAM = """
#include <omp.h>
int main(void) { return omp_get_max_threads() < 1; }
"""
OPENMP_FLAGS = [
    (["-fopenmp"], ["-fopenmp"]),
    (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's clang with libomp
]


def openmp_flags() -> tuple[list[str], list[str]]:
    """Flags to compile and to link with OpenMP; none where there is no OpenMP."""
    for compile_flags, link_flags in OPENMP_FLAGS:
        flags = [*compile_flags, *link_flags]
        if prerequisites["compiles"](OPENMP_PROGRAM, flags, run_link=True):
            return compile_flags, link_flags
    return [], []


def files(folders: list[str], suffix: str) -> list[str]:
    """Files of some folders of csrc/, relative to here, as setuptools wants them."""
    found = [path for name in folders for path in (ROOT / "csrc" / name).glob(suffix)]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def extension(name: str, folders: list[str]) -> Extension:
    """The extension module `name`: its Cython file and all C files of `folders`."""
    return Extension(
        name,
        [name.replace(".", "/") + ".pyx", *files(folders, "*.c")],
        depends=files(folders, "*.h"),
        include_dirs=["csrc"],
        extra_compile_args=list(COMPILE),
    )


class Build(build_ext):
    """build_ext that says what is missing first, and uses OpenMP where there is one."""

    def build_extensions(self) -> None:
        problem = prerequisites["missing"]()
        if problem:
            sys.exit(problem)
        compile_flags, link_flags = openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args += compile_flags
            extension.extra_link_args += link_flags
        super().build_extensions()
        self.build_library(compile_flags, link_flags)

    def build_library(self, compile_flags: list[str], link_flags: list[str]) -> None:
        """Put the C library into the package; the core has compiled most of it."""
        folder = Path(self.build_lib) / C_LIBRARY
        shutil.rmtree(folder / "lib", ignore_errors=True)
        objects = self.compile_library(compile_flags)
        self.compiler.create_static_lib(objects, "rnnkit", str(folder / "lib"))
        shared = str(folder / "lib" / "librnnkit.so")
        link = [*shlex.split(prerequisites["compiler"]()), "-shared", *objects]
        subprocess.run([*link, *link_flags, "-lm", "-o", shared], check=True)
        amalgamation["amalgamate"](folder / "src", folder / "include")

    def compile_library(self, compile_flags: list[str]) -> list[str]:
        """The C library's object files; those that are there and new stay."""
        sources = files(LIBRARY, "*.c")
        objects = self.compiler.object_filenames(sources, output_dir=self.build_temp)
        headers = [*files(LIBRARY, "*.h"), "include/rnnkit.h"]
        self.compiler.compile(
            [
                source
                for source, object_ in zip(sources, objects, strict=True)
                if newer_group([source, *headers], object_)
            ],
            output_dir=self.build_temp,
            include_dirs=["csrc", "include"],
            extra_postargs=[*COMPILE, *compile_flags],
        )
        return objects

    def copy_extensions_to_source(self) -> None:
        super().copy_extensions_to_source()
        built = Path(self.build_lib) / C_LIBRARY
        shutil.copytree(built, ROOT / C_LIBRARY, dirs_exist_ok=True)


setup(
    ext_modules=[
        extension("rnnkit.core._core", CORE),
        extension("rnnkit.core._text", TEXT),
    ],
    cmdclass={"build_ext": Build},
)
