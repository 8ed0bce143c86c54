# SPDX-License-Identifier: BSD-3-Clause
"""What several benchmarks have in common, and what is made of their results."""
