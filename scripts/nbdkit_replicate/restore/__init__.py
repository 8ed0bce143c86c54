# SPDX-License-Identifier: BSD-3-Clause
"""Reading restore points, and writing them to where they are needed.

reading  a server that shows a restore point, and checks it
in_use   who else uses a file or a block device
target   where a disk is written to, and how an interrupted copy is kept from looking whole
copying  one disk, from the server to the target
"""
