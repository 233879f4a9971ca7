# SPDX-License-Identifier: BSD-3-Clause
"""Models from other libraries and for them, one file a format; docs/interchange.md.

Nothing here imports another library before it is asked for what only that one can do.
"""
