# SPDX-License-Identifier: BSD-3-Clause
"""What people and programs are told of a run: events while it goes on, records of those that have ended."""
