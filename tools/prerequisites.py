# SPDX-License-Identifier: BSD-3-Clause
"""Say what to install when Python, its venv, its headers or a C compiler is missing.

The Makefile runs this file before it makes an environment, setup.py before it compiles.
Standard library only, and old Python must be able to read it.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile

INSTALL = {
    "python": (
        "Python 3.11 or newer is needed; this is {version}.",
        "sudo apt install python3.11 (or newer)",
        "sudo dnf install python3.11 (or newer)",
        "brew install python@3.12",
    ),
    "venv": (
        "Python's venv module cannot make an environment here (ensurepip is missing).",
        "sudo apt install python3-venv",
        "sudo dnf install python3-pip",
        "brew install python@3.12",
    ),
    "compiler": (
        "No working C compiler: {compiler!r} does not compile a small program.",
        "sudo apt install gcc make",
        "sudo dnf install gcc make",
        "xcode-select --install",
    ),
    "headers": (
        "Python's C headers are missing: there is no usable Python.h in {include}.",
        "sudo apt install python3-dev",
        "sudo dnf install python3-devel",
        "brew install python@3.12",
    ),
}


def compiler():
    """The command of the C compiler that setuptools will use."""
    return os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"


def compiles(program, flags=(), run_link=False):
    """Whether the C compiler takes `program`; with `run_link` it is linked as well."""
    command = shlex.split(compiler())
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w") as file:
            file.write(program)
        out = os.path.join(folder, "probe.out")
        command += [source, "-o", out] + ([] if run_link else ["-c"]) + list(flags)
        try:
            result = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            return False
        return result.returncode == 0


def sentence(what, **facts):
    """The message for one missing thing: what is missing, and how to get it."""
    problem, debian, fedora, macos = INSTALL[what]
    return (
        "rnnkit: " + problem.format(**facts) + "\n"
        "  Debian, Ubuntu: " + debian + "\n"
        "  Fedora:         " + fedora + "\n"
        "  macOS:          " + macos
    )


def missing(environment=False):
    """The sentence for the first thing missing, or None; `environment`: venv too."""
    if sys.version_info < (3, 11):
        return sentence("python", version=sys.version.split()[0])
    if environment:
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            return sentence("venv")
    if not compiles("int main(void) { return 0; }\n", run_link=True):
        return sentence("compiler", compiler=compiler())
    include = sysconfig.get_path("include")
    if not compiles("#include <Python.h>\n", ["-I" + include]):
        return sentence("headers", include=include)
    return None


if __name__ == "__main__":
    sys.exit(missing(environment=True))
