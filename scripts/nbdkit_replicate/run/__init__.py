# SPDX-License-Identifier: BSD-3-Clause
"""A run: the source server, and for each disk a target server and nbdcopy between the two."""
