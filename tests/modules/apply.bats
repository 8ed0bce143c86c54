# SPDX-License-Identifier: BSD-3-Clause
load ../lib

# A disk of 16 MiB, of which base.raw is yesterday's content and disk.raw today's. What changed is in
# places that are aligned to nothing, and part of it has become zero: as data that reads as zeroes,
# and as holes. `honest` is what an honest source says of it.
prepare() {
    random_file base.raw 16M 1
    /usr/bin/python3 - <<'PY'
import random
disk = bytearray(open("base.raw", "rb").read())
new = random.Random(2)
K = 1024
changes = []
def data(offset, length):
    disk[offset:offset + length] = new.randbytes(length)
    changes.append((offset, length, ""))
def zeroes(offset, length, kind):
    disk[offset:offset + length] = bytes(length)
    changes.append((offset, length, kind))
data(512 * K, 256 * K)
data(1024 * K + 1, 70001)
zeroes(2048 * K, 300 * K, "")                       # data that reads as zeroes
zeroes(3072 * K + 513, 65536, "hole,zero")          # a hole now, aligned to nothing
zeroes(4096 * K, 1024 * K, "zero")
zeroes(5120 * K, 64 * K, "hole,zero")
data(5184 * K, 64 * K)
data(6144 * K, 1024 * K)                            # data with zeroes within
disk[6200 * K:6264 * K] = bytes(64 * K)
disk[6300 * K + 7:6310 * K] = bytes(10 * K - 7)
changes.append((16384 * K - 1000, 1000, ""))        # the last bytes
disk[-1000:] = new.randbytes(1000)
changes.sort()
at, lines = 0, []
for offset, length, kind in changes:
    if at < offset:
        lines.append(f"{at} {offset - at} hole")
    lines.append(f"{offset} {length} {kind}")
    at = offset + length
if at < len(disk):
    lines.append(f"{at} {len(disk) - at} hole")
open("honest", "w").write("\n".join(lines) + "\n")
open("disk.raw", "wb").write(disk)
PY
}

# The source's server, with the description that a source of ours has.
source_server() {
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" "$@"
}
description() {
    echo '{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"delta","since":"'"$1"'","checkpoint":"'"$2"'"}'
}

# The destination's server over yesterday's content.
destination_server() {
    cp --sparse=never base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state" "$@"
}

settled() { grep -q '"checkpoint":"c2".*"owed":\[\]' web1.state 2> /dev/null; }

# copies CLIENT...: the client's whole run ends with a destination that equals the source.
copies() {
    source_server
    destination_server
    timeout 60 "$@"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
    grep -q '"source":"test","vm":"vm-1","disk":2000,"size":16777216' web1.state
    ! grep -q 'still owed' dst.log
}

@test "nbdcopy" {
    copies nbdcopy "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --destination-is-zero" {
    copies nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0" {
    copies nbdcopy -S 0 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0 --destination-is-zero --flush" {
    copies nbdcopy -S 0 --destination-is-zero --flush "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --allocated" {
    copies nbdcopy --allocated "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -C 1 -R 1" {
    copies nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --synchronous" {
    copies nbdcopy --synchronous "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n" {
    copies qemu-img convert -n -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero" {
    copies qemu-img convert -n --target-is-zero -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n -W -m 16" {
    copies qemu-img convert -n -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero -W -m 16" {
    copies qemu-img convert -n --target-is-zero -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}
