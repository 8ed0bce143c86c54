# SPDX-License-Identifier: BSD-3-Clause
#
# fanout-state: what is owed is copied by the next run.
load ../../lib
load fanout

@test "on-error=detach: what a full server misses is saved, and copied by the next run" {
    random_file base.raw 16M
    truncate -s 16M primary.raw a.raw full.raw
    start a file a.raw
    start full -t 1 --filter=error file full.raw error-pwrite=ENOSPC error-pwrite-rate=100%
    mkdir state
    destinations=(fanout-state=state fanout-on-error=detach fanout-dest="$(uri a)" fanout-name=a
        fanout-dest="$(uri full)" fanout-name=full)
    fanout f file primary.raw "${destinations[@]}"
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f
    same base.raw primary.raw
    same base.raw a.raw
    grep 'error: full: detached, the other destinations continue; .* are owed: cannot write .*: No space left on device' f.log
    grep 'error: full: .* 16777216 bytes are owed; saved in .*/state/full.json' f.log
    [ "$(owed state/full.json)" -eq 16777216 ]
    [ "$(owed state/a.json)" -eq 0 ]
    stop full

    # The server has space again. A client that does not write is enough.
    restart full full.raw
    fanout f file primary.raw "${destinations[@]}"
    timeout 60 nbdinfo --size "$(uri f)"
    stop f
    same base.raw full.raw
    [ "$(owed state/full.json)" -eq 0 ]

    # A primary that is smaller than it was is refused.
    truncate -s 15M other.raw
    fanout f file other.raw "${destinations[@]}"
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: .*state/.*.json is the state of a primary of 16777216 bytes' f.log
    stop f
    echo '{"nbdkit-replicate":1,"owed":[[5' > state/a.json
    fails_to_start 'state/a.json is not a usable state file' "${destinations[@]}"
}

@test "fanout-new=owed: a destination that is added later gets a full copy, once" {
    random_file primary.raw 16M
    cp primary.raw a.raw
    truncate -s 16M b.raw
    start a file a.raw
    start b file b.raw
    mkdir state
    fanout f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a
    write_once "$(uri f)"
    stop f
    same primary.raw a.raw
    parameters=(fanout-state=state fanout-stats=stats.prom fanout-new=owed
        fanout-dest="$(uri a)" fanout-name=a fanout-dest="$(uri b)" fanout-name=b)
    # The second time b has a state file, and owes nothing.
    for at_least in 16777216 0; do
        fanout f file primary.raw "${parameters[@]}"
        write_once "$(uri f)"
        stop f
        same primary.raw a.raw
        same primary.raw b.raw
        [ "$(owed state/b.json)" -eq 0 ]
        [ "$(copied a)" -eq 0 ]
        [ "$(copied b)" -ge "$at_least" ]
    done
    [ "$(copied b)" -eq 0 ]
    fails_to_start 'fanout-new=owed: requires fanout-state' fanout-new=owed fanout-dest="$(uri a)"
    fails_to_start 'fanout-new=none: must be' fanout-new=none fanout-dest="$(uri a)"
}

@test "after fanout-drain-timeout the rest is logged, saved, and copied by the next run" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    restart slow slow.raw
    mkdir state
    fanout f file primary.raw fanout-mode=async fanout-state=state fanout-drain-timeout=1 \
        fanout-dest="$(uri slow)" fanout-name=slow fanout-rate=16K
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f  # what waits for the rate, minutes of it, is not waited for
    grep 'warning: fanout: destinations are still behind after 1 s (fanout-drain-timeout)' f.log
    grep 'error: slow: .*[1-9][0-9]* bytes are owed; saved in .*state/slow.json' f.log
    left=$(owed state/slow.json)
    [ "$left" -gt 0 ]
    [ "$left" -le 16777216 ]
    fanout f file primary.raw fanout-mode=async fanout-state=state fanout-dest="$(uri slow)" fanout-name=slow
    timeout 60 nbdinfo --size "$(uri f)"
    stop f
    grep -q "slow: $left bytes are owed, from an earlier run" f.log
    same base.raw slow.raw
    [ "$(owed state/slow.json)" -eq 0 ]
}

@test "nbdkit killed with -9 while a destination is behind: the next run copies the rest" {
    random_file base.raw 64M
    truncate -s 64M primary.raw slow.raw
    restart slow slow.raw
    mkdir state
    parameters=(fanout-mode=async fanout-state=state fanout-dest="$(uri slow)" fanout-name=slow)
    fanout f file primary.raw "${parameters[@]}" fanout-rate=16K
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f KILL
    must_fail cmp -s base.raw slow.raw
    fanout f file primary.raw "${parameters[@]}"
    timeout 60 nbdinfo --size "$(uri f)"
    stop f
    same base.raw primary.raw
    same base.raw slow.raw
    # Two servers cannot share a state directory.
    fanout f file primary.raw "${parameters[@]}"
    fails_to_start 'another server is using' "${parameters[@]}"
}

@test "a flush covers a destination that is behind, and fails while what a lost one had is not recorded" {
    truncate -s 128M b.raw
    start b --filter=log --filter=error file b.raw logfile=b.calls \
        error-pwrite=EIO error-pwrite-rate=100% error-pwrite-file="$PWD/broken"
    mkdir state
    fanout f memory 128M fanout-state=state fanout-drain-timeout=1 fanout-retry-delay=600 fanout-retry-max=600 fanout-on-error=detach \
        fanout-dest="$(uri b)" fanout-name=b
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
def flushes():
    return sum(" Flush id=" in line for line in open("b.calls"))
h.pwrite(b"A" * 65536, 0)
open("broken", "w").close()
h.pwrite(b"B" * 65536, 64 << 20)  # owed
os.unlink("broken")
h.flush()
assert flushes() >= 1

h.pwrite(b"C" * 65536, 127 << 20)  # deferred: the file owes it
os.rename("state", "away")
os.kill(int(open("b.pid").read()), signal.SIGKILL)
try:
    h.pwrite(b"D" * 65536, 32 << 20)  # another region: the file cannot be written
    raise SystemExit("acknowledged")
except nbd.Error as e:
    print(e)
os.rename("away", "state")
h.pwrite(b"D" * 65536, 32 << 20)
h.flush()
' "$(uri f)"
    grep 'error: .*state/b.json.*No such file or directory' f.log
    [ "$(owed state/b.json)" -ge $((3 * 65536)) ]
}

@test "without its state file a request fails, and a flush does not: the file owes what came before" {
    truncate -s 64M b.raw
    # It is never flushed, also not by itself.
    hold
    start b eval get_size="echo 64M" thread_model="echo parallel" can_write="exit 0" can_flush="exit 0" \
        pread="dd if=$PWD/b.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes status=none" \
        pwrite="dd of=$PWD/b.raw seek=\$4 oflag=seek_bytes conv=notrunc status=none" \
        flush="read -r line < $PWD/hold"
    mkdir state
    fanout f memory 64M fanout-state=state fanout-retries=0 fanout-retry-max=600 fanout-on-error=detach \
        fanout-dest="$(uri b)" fanout-name=b
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"A" * 65536, 0)
os.rename("state", "away")
os.kill(int(open("b.pid").read()), signal.SIGKILL)
h.flush()
try:
    h.pwrite(b"B" * 65536, 32 << 20)
    raise SystemExit("acknowledged")
except nbd.Error as e:
    print(e)
' "$(uri f)"
    stop f
    grep 'error: .*/state/b.json.*No such file or directory' f.log
    grep 'b: .* 65536 bytes are owed; .*; .*/state/b.json owes them, and perhaps more' f.log
    [ "$(owed away/b.json)" -eq $((16 << 20)) ]
}
