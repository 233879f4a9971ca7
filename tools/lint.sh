#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Checks of style and types. A tool that is not there is named and left out.
set -eu
BIN=${VENV:-.venv}/bin
PATH=$BIN:$PATH  # cython-lint looks there for pycodestyle
status=0

check() {
    tool=$1
    shift
    if [ ! -x "$BIN/$tool" ]; then
        echo "lint: $tool is not installed, left out"
        return
    fi
    echo "== $tool"
    "$BIN/$tool" "$@" || status=1
}

check ruff check --quiet .
check ruff format --quiet --check .
check mypy --no-error-summary
check cython-lint rnnkit/core
check clang-format --dry-run --Werror $(find csrc -name '*.[ch]')
check codespell csrc rnnkit tests benchmarks docs tools plugins *.md
exit $status
