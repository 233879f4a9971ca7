# SPDX-License-Identifier: BSD-3-Clause
"""``python -m rnnkit`` is the command ``rnnkit``."""

import sys

from rnnkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
