#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""serial_loop.py URI LIST TARGET: copies each area of LIST, "OFFSET LENGTH" a line, one after the other, from an NBD server
into a file: the loop of programs that were written for the answers of QueryChangedDiskAreas, such as migratekit. A piece has
at most 64 MiB, as there."""
import os
import sys

import nbd

MOST = 64 << 20


def main(uri: str, areas: str, target: str) -> None:
    source = nbd.NBD()
    source.connect_uri(uri)
    file = os.open(target, os.O_WRONLY)
    with open(areas, encoding="ascii") as lines:
        for line in lines:
            offset, length = map(int, line.split())
            while length > 0:
                piece = source.pread(min(length, MOST), offset)
                os.pwrite(file, piece, offset)
                offset, length = offset + len(piece), length - len(piece)
    os.fsync(file)
    source.shutdown()


main(*sys.argv[1:])
