# SPDX-License-Identifier: BSD-3-Clause
"""The machines of a plan: which are replicated, how many at the same time, and what is done before and after each."""
