# SPDX-License-Identifier: BSD-3-Clause
"""Plans: what is replicated again and again, and how long its restore points are kept. nbdkit-replicate.plan(5)."""
