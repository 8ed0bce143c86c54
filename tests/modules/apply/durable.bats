# SPDX-License-Identifier: BSD-3-Clause
#
# What of flushes and FUA reaches the layer below, and what the state says of it.
load ../../lib
load apply

# logged FILTERS... -- PLUGIN...: a destination with a log of what the layer below is asked, in `requests`.
logged() {
    local below=()
    while [ "$1" != -- ]; do below+=("$1"); shift; done
    shift
    cp --sparse=never base.raw dst.raw
    : > requests
    start dst --filter="$APPLY" --filter=log "${below[@]}" "$@" logfile="$PWD/requests" \
        apply-from="$(uri src)" apply-state="$PWD/web1.state"
}

# What asked(request) returns: the requests below that it has led to, such as "Write 1 Flush".
ASKED='
import re
def requests():
    return re.findall(r"connection=\d+ (\w+) id=\d+ (.*)\.\.\.$", open("requests").read(), re.M)
def asked(f, *arguments, **flags):
    before = len(requests())
    f(*arguments, **flags)
    found = [(name, "fua=1" in text) for name, text in requests()[before:] if name != "Read"]
    return " ".join(name + " fua" * fua for name, fua in found)
FUA = nbd.CMD_FLAG_FUA
data = disk[512 * K:576 * K]
'

@test "FUA and flushes are passed on to a layer below that has FUA" {
    source_server
    logged --filter=fua -- file dst.raw fuamode=native
    python "$ASKED"'
assert asked(h.pwrite, data, 512 * K, flags=FUA) == "Write fua", open("requests").read()
assert asked(h.pwrite, data, 512 * K) == "Write"
assert asked(h.zero, 64 * K, 4096 * K, flags=FUA) == "Zero fua"
assert asked(h.zero, 64 * K, 4096 * K) == "Zero"
assert asked(h.trim, 64 * K, 4096 * K, flags=FUA) == "Zero fua"
assert asked(h.trim, 64 * K, 4096 * K) == "Zero"
assert asked(h.flush) == "Flush"
assert asked(h.flush) == "Flush"
# Each part in the delta has FUA, and nothing else is asked.
assert asked(h.pwrite, disk[5000 * K:6500 * K], 5000 * K, flags=FUA) == "Write fua Write fua Write fua"
assert asked(h.pwrite, data, 8192 * K, flags=FUA) == ""
'
}

@test "where the layer below emulates FUA, or has none, a flush follows" {
    for mode in emulate none; do
        source_server
        rm -f web1.state
        logged --filter=fua -- file dst.raw $([ $mode = none ] || echo fuamode=$mode)
        python "$ASKED"'
if h.can_fua():
    for part in (disk[5000 * K:6500 * K], 5000 * K), (data, 512 * K):
        found = asked(h.pwrite, *part, flags=FUA)
        assert found.startswith("Write") and found.endswith("Flush") and found.count("Flush") == 1, found
        assert "fua" not in found, found
    for f in h.zero, h.trim:
        assert asked(f, 64 * K, 4096 * K, flags=FUA) == "Zero Flush"
assert h.can_fua() == ("'$mode'" == "emulate")
assert asked(h.pwrite, data, 512 * K) == "Write"
assert asked(h.flush) == "Flush"
'
        stop dst
        stop src
    done
}

@test "a layer below without a flush: clients may flush, and the state says that all is there" {
    source_server
    logged -- eval get_size="echo 16M" can_write="exit 0" can_flush="exit 3" \
        pread="dd if=$PWD/dst.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        pwrite="dd of=$PWD/dst.raw seek=\$4 conv=notrunc oflag=seek_bytes iflag=fullblock bs=64K status=none"
    python "$ASKED"'
assert h.can_flush() and not h.can_fua()
for at in range(0, len(disk), K * K):
    h.pwrite(disk[at:at + K * K], at)
assert asked(h.flush) == ""
'
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "a flush of a connection that covers no other leaves the other's blocks owed" {
    source_server
    cp base.raw dst.raw
    for mode in disable emulate; do
        rm -f web1.state
        start dst --filter="$APPLY" --filter=multi-conn file dst.raw multi-conn-mode=$mode \
            apply-from="$(uri src)" apply-state="$PWD/web1.state"
        python '
other = nbd.NBD()
other.connect_uri(sys.argv[1])
def owes(offset):
    return any(o <= offset < o + l for o, l in json.load(open("web1.state"))["owed"])
h.pwrite(disk[512 * K:768 * K], 512 * K)
other.pwrite(disk[6144 * K:7168 * K], 6144 * K)
while owes(512 * K):   # the state is saved once a second, or less often if that takes long
    h.flush()
    time.sleep(0.02)
assert owes(6144 * K) == ("'$mode'" == "disable")
import os, signal
os.kill(int(open("dst.pid").read()), signal.SIGKILL)
os._exit(0)
'
        stop dst
    done
}

@test "zeroes of more than 64 MiB in one request are complete where nbdkit cannot zero" {
    /usr/bin/python3 -c '
with open("dst.raw", "wb") as f:
    for i in range(136): f.write(b"\xee" * (1 << 20))'
    echo '[{"offset":0,"length":142606336,"type":2}]' > map.json
    # The plugin answers every zero with EOPNOTSUPP, as a file system without holes does.
    path=$PWD/dst.raw start dst --filter="$APPLY" eval get_size='echo 136M' can_write='exit 0' can_zero='exit 0' \
        can_flush='exit 0' pread='dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none' \
        pwrite='dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none' zero='echo EOPNOTSUPP >&2; exit 1' \
        apply-from=map.json apply-state="$PWD/web1.state"
    /usr/bin/python3 - "$(uri dst)" <<'PY'
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.zero(134 << 20, 1 << 20)
h.flush()
# The first and the last MiB are left to the filter.
assert h.pread(1 << 20, 0) == b"\xee" * (1 << 20)
h.shutdown()
PY
    until_true 60 grep -q '"owed":\[\]' web1.state
    stop dst
    cmp -n $((136 << 20)) dst.raw /dev/zero
}
