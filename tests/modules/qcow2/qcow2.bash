# SPDX-License-Identifier: BSD-3-Clause
#
# For all tests of the qcow2 plugin; each begins with: load qcow2
load ../../lib

# shell NAME ARGUMENTS...: nbdsh of the system's Python, connected to a server started with start.
shell() {
    local name=$1
    shift
    PATH=/usr/bin:/bin timeout 60 nbdsh --uri "$(uri "$name")" "$@"
}
copy() { timeout 120 nbdcopy "$@"; }
# try ARGUMENTS...: the plugin, for a test of whether it starts.
try() { timeout 60 nbdkit -U - "$QCOW2" "$@" --run true; }

# sparse_file FILE: 24 MiB and a bit with data, holes, and zeroes that are data.
sparse_file() {
    random_file part 6M "${2:-1}"
    truncate -s 24577K "$1"
    dd if=part of="$1" bs=64k seek=3 conv=notrunc status=none
    dd if=part of="$1" bs=1000 seek=15000 conv=notrunc status=none
    dd if=/dev/zero of="$1" bs=1M seek=22 count=1 conv=notrunc status=none
}

# small_file FILE: the same in 5 MiB and a bit.
small_file() {
    random_file part 2M
    truncate -s 5121K "$1"
    dd if=part of="$1" bs=64k seek=3 conv=notrunc status=none
    dd if=part of="$1" bs=1000 seek=3200 conv=notrunc status=none
    dd if=/dev/zero of="$1" bs=1M seek=4 count=1 conv=notrunc status=none
}

# text_file FILE SIZE [SEED]: compresses to about half, with ranges of noise and holes; its end is neither.
text_file() {
    /usr/bin/python3 - "$1" "$(numfmt --from=iec "$2")" "${3:-1}" <<'PY'
import random, sys
name, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
small = bytes(97 + b % 16 for b in range(256))
with open(name, "wb") as f:
    while f.tell() < size:
        n = min(size - f.tell(), r.randrange(1, 400000))
        kind = r.randrange(8)
        if kind == 0:
            f.seek(n, 1)
        elif kind == 1:
            f.write(r.randbytes(n))
        else:
            f.write(r.randbytes(n).translate(small))
    f.truncate(size)
    f.seek(size - 3000)
    f.write(r.randbytes(3000).translate(small))
PY
}
