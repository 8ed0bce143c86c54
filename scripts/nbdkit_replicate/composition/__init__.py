# SPDX-License-Identifier: BSD-3-Clause
"""What a run starts and with which command lines. Reads files; starts nothing and changes nothing."""
