# SPDX-License-Identifier: BSD-3-Clause
"""Serving the disks of a replica, whole or not: what is not here yet is fetched from the source meanwhile."""
