# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of nbdkit-apply-filter share: a disk that has changed, its source and a destination.

# A disk of 16 MiB: base.raw is its old content, disk.raw the new one. Some of what changed is unaligned,
# and some has become zero: as data that reads as zeroes, and as holes. `honest` has the honest extents.
# The files are made once; each test has copies.
prepare() {
    cp --sparse=never "$BATS_FILE_TMPDIR"/{base.raw,disk.raw,honest} .
}
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    random_file base.raw 16M 1
    PYTHONPATH=$SOURCE/tests /usr/bin/python3 -B - <<'PY'
from changed_disk import ChangedDisk, K
disk = ChangedDisk()
disk.data(512 * K, 256 * K)
disk.data(1024 * K + 1, 70001)
disk.zeroes(2048 * K, 300 * K, "")                       # data that reads as zeroes
disk.zeroes(3072 * K + 513, 65536, "hole,zero")          # a hole now, aligned to nothing
disk.zeroes(4096 * K, 1024 * K, "zero")
disk.zeroes(5120 * K, 64 * K, "hole,zero")
disk.data(5184 * K, 64 * K)
disk.data(6144 * K, 1024 * K)                            # data with zeroes within
disk.bytes[6200 * K:6264 * K] = bytes(64 * K)
disk.bytes[6300 * K + 7:6310 * K] = bytes(10 * K - 7)
disk.data(16384 * K - 1000, 1000)                        # the last bytes
disk.save()
PY
}

# The source's server, with the description of a source that knows changes.
source_server() {
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" "$@"
}
description() {
    echo '{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"delta","since":"'"$1"'","checkpoint":"'"$2"'"}'
}

# The destination's server over the old content.
destination_server() {
    cp --sparse=never base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state" "$@"
}

owes_nothing() { grep -q '"checkpoint":"c2".*"owed":\[\]' web1.state 2> /dev/null; }

# copies CLIENT...: after the client's run the destination equals the source.
copies() {
    source_server
    destination_server
    timeout 60 "$@"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
    grep -q '"source":"test","vm":"vm-1","disk":2000,"size":16777216' web1.state
    must_fail grep -q 'still owed' dst.log
}

# python SCRIPT: runs it with h connected to the destination.
python() {
    /usr/bin/python3 - "$(uri dst)" <<PY
import json, nbd, sys, time
h = nbd.NBD()
h.connect_uri(sys.argv[1])
disk = open("disk.raw", "rb").read()
base = open("base.raw", "rb").read()
K = 1024
$PAUSE
$1
h.shutdown()
PY
}

# owed: the bytes that the state owes.
owed() { jq '[.owed[][1]] | add // 0' web1.state; }
said() { grep -q "$2" "$1.log"; }

# held_source: before release what clients read from 6144K to 7168K is not answered. (What the filter
# reads there at the end is: it reads 1 MiB at once.)
held_source() {
    hold
    start src --filter="$DELTA" --filter=exportname --filter=extentlist eval \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" \
        get_size="echo 16M" thread_model="echo parallel" \
        pread="[ \$4 -ge 7340032 -o \$3 -ge 1048576 ] || $(held_from 6291456)
            dd if=$PWD/disk.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none"
}
writes() { [ "$(grep -c 'debug: file: pwrite' dst.log)" -ge "$1" ]; }

# refused TEXT PARAMETERS...: the server does not start, and the log says why.
refused() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw "$@" --run true
}
