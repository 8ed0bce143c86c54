# SPDX-License-Identifier: BSD-3-Clause
"""The programs that a run starts, and what it asks the source."""
