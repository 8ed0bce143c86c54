# SPDX-License-Identifier: BSD-3-Clause
#
# fanout-verify.
load ../../lib
load fanout

@test "fanout-verify: a block that differs is counted, logged and copied again" {
    random_file base.raw 8M
    truncate -s 8M a.raw
    start a file a.raw
    fanout f memory 8M fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom
    python '
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(data, 0)
with open("a.raw", "r+b") as f:
    f.seek(3000000)
    f.write(b"rotten")
' "$(uri f)"
    stop f
    same base.raw a.raw
    grep 'error: a: 1 blocks of 65536 bytes that were read back differ from what was written' f.log
    [ "$(metric stats.prom verify_mismatches_total a)" -eq 1 ]
    fanout f file base.raw fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(h.pread(512, 0), 0)' "$(uri f)"
    stop f
    said 'a: 100% of the blocks were read back: all are equal'
}

# once: the first run, after which primary.raw and a.raw are equal.
once() {
    random_file primary.raw 64M
    cp primary.raw a.raw
    mkdir -p state
    start a --filter=log file a.raw logfile=a.calls
    fanout f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a
    write_once "$(uri f)"
    stop f
    same primary.raw a.raw
}

# again ARGUMENTS...: the next run, with a client that writes nothing.
again() {
    fanout f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom "$@"
    timeout 60 nbdinfo --size "$(uri f)"
    stop f
}

@test "another disk, an older copy or an empty one is found by the next run, and copied as a whole" {
    once
    cp a.raw yesterday.raw
    fanout f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(0, 64, 2):
    h.pwrite(b"today" * 131072, i << 20)' "$(uri f)"
    stop f
    same primary.raw a.raw
    random_file other.raw 64M 2
    truncate -s 64M empty.raw
    for wrong in yesterday other empty; do
        stop a
        cp "$wrong.raw" a.raw
        start a file a.raw
        again
        same primary.raw a.raw
        grep 'warning: a: this is not the copy that it should be: at offset [0-9]* it differs' f.log
        must_fail grep 'error: a:' f.log
        [ "$(owed state/a.json)" -eq 0 ]
        [ "$(copied a)" -eq $((64 << 20)) ]
    done
    cp empty.raw a.raw
    again fanout-verify=off
    [ "$(copied a)" -eq 0 ]
    must_fail same primary.raw a.raw
}

@test "the right destination: nothing is written to it; after kill -9 only what was being written" {
    once
    : > a.calls
    again
    said 'a: .* blocks were compared: all are equal'
    must_fail grep -e ' Write id=' -e ' Zero id=' a.calls
    [ "$(copied a)" -eq 0 ]

    # The writes to a take long, so that some are under way when nbdkit is killed.
    stop a
    start a --filter=delay file a.raw wdelay=60
    fanout f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(4):
    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"w" * 65536)), i << 20)
while open("primary.raw", "rb").read(3145728 + 1)[-1:] != b"w":
    h.poll(1)
os.kill(int(open("f.pid").read()), signal.SIGKILL)' "$(uri f)"
    stop f KILL
    stop a
    start a --filter=log file a.raw logfile=a.calls
    again
    same primary.raw a.raw
    [ "$(copied a)" -gt 0 ]
    [ "$(copied a)" -le $((16 << 20)) ]
}
