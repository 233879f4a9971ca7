# SPDX-License-Identifier: BSD-3-Clause
"""Model files: what a trained model is, in one file of one encoding."""
