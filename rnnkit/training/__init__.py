# SPDX-License-Identifier: BSD-3-Clause
"""Windows, epochs and schedules: from a corpus to trained weights."""
