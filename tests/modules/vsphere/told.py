#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""told.py URI: reads 64 KiB, and prints all that libnbd has to say of it. (The message of an
error that a server sends for a request is shown to its debugging callback alone.)"""

import sys

import nbd

h = nbd.NBD()
h.set_debug(True)
h.set_debug_callback(lambda context, message: print(message))
try:
    h.connect_uri(sys.argv[1])
    h.pread(65536, 0)
except nbd.Error as error:
    print("the read failed:", error)
else:
    print("the read succeeded")
