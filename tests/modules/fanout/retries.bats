# SPDX-License-Identifier: BSD-3-Clause
#
# A destination fails and comes back.
load ../../lib
load fanout

@test "killed with -9 and back again: the client continues, and the destination catches up" {
    random_file base.raw 32M
    truncate -s 32M a.raw victim.raw primary.raw
    start a file a.raw
    restart victim victim.raw
    fanout f file primary.raw fanout-state=. "${PATIENT[@]}" fanout-retry-delay=0.3 fanout-dest="$(uri a)" fanout-name=a \
        fanout-dest="$(uri victim)" fanout-name=victim
    python '
import os, signal, subprocess, time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
def write(i): h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
for i in range(10): write(i)
os.kill(int(open("victim.pid").read()), signal.SIGKILL)
for i in range(10, 20): write(i)
h.flush()
open("dead", "w").close()
while not os.path.exists("live"): time.sleep(0.02)
for i in range(20, 32): write(i)
h.flush()
# It is complete before the drain.
assert open("victim.raw", "rb").read() == data
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e dead ]
    # The state file owed the writes before they were acknowledged.
    [ "$(owed victim.json)" -gt 0 ]
    restart victim victim.raw
    until_true 20 said 'victim: has caught up'
    touch live
    wait $client
    stop f
    [ "$(owed victim.json)" -eq 0 ]
    for copy in a primary victim; do same base.raw $copy.raw; done
    said 'warning: victim: .*the connection was lost; .* are owed, trying again in 0.3 s'
}

@test "qemu-nbd killed and back again; a primary that takes one request at a time" {
    random_file base.raw 16M
    truncate -s 16M primary.raw q.raw
    start_qemu q -f raw q.raw
    path=$PWD/primary.raw fanout f eval get_size='echo 16M' can_write='exit 0' can_flush='exit 0' \
        pread='dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none' \
        pwrite='dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none' \
        "${PATIENT[@]}" fanout-retry-delay=0.2 fanout-dest="$(uri q)" fanout-name=q
    python '
import os, signal
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(16):
    if i == 5: os.kill(int(open("q.pid").read()), signal.SIGKILL)
    h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
    if i == 10: open("dead", "w").close()
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e dead ]
    stop q KILL
    start_qemu q -f raw q.raw
    wait $client
    stop f
    stop q
    same base.raw primary.raw
    same base.raw q.raw
}

@test "on-error=fail: after the retries requests fail; the next client has it caught up" {
    random_file base.raw 8M
    truncate -s 8M victim.raw
    restart victim victim.raw
    fanout f memory 8M fanout-retries=2 fanout-retry-delay=1 fanout-dest="$(uri victim)" fanout-name=victim
    python '
import os, signal, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"a" * 65536, 0)
begin = time.monotonic()
os.kill(int(open("victim.pid").read()), signal.SIGKILL)
n = 0
try:
    while True:
        h.pwrite(b"b" * 65536, 65536)
        n += 1
        time.sleep(0.01)
except nbd.Error as e:
    assert e.errno == "EIO", e
took = time.monotonic() - begin
assert n >= 1 and took > 2.5, (n, took)
assert h.pread(1, 65536) == b"b"
' "$(uri f)"
    grep -q 'error: victim: cannot connect: .*: this destination is no longer a copy' f.log
    until_true 10 grep -q 'error: victim: .* 131072 bytes are owed; not saved' f.log
    stop victim
    restart victim victim.raw
    timeout 60 nbdcopy base.raw "$(uri f)"
    stop f
    same base.raw victim.raw
}

@test "a server that answers with errors for a while is retried" {
    random_file base.raw 16M
    truncate -s 16M a.raw
    touch broken
    start a -t 4 --filter=error file a.raw error-pwrite=EIO error-pwrite-rate=50% error-file="$PWD/broken"
    fanout f memory 16M fanout-retries=20 fanout-retry-delay=0.1 fanout-retry-max=0.2 fanout-dest="$(uri a)" \
        fanout-name=a
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    grep -q 'warning: a: cannot write .*: Input/output error; .* are owed, trying again' f.log
    rm broken
    stop f
    same base.raw a.raw
}

@test "on-error=detach: a server that stops answering holds the client up for fanout-timeout only" {
    local patient=(fanout-timeout=60 fanout-connect-timeout=60)
    random_file base.raw 16M
    truncate -s 16M a.raw hole.raw
    start a file a.raw
    restart hole hole.raw
    fanout f memory 16M fanout-on-error=detach fanout-retries=1 fanout-retry-delay=0.1 \
        fanout-timeout=1 fanout-connect-timeout=0.5 fanout-state=. \
        fanout-dest="$(uri a)" fanout-name=a "${patient[@]}" fanout-dest="$(uri hole)" fanout-name=hole
    # The kernel accepts connections for it, but it never answers.
    kill -STOP "$(cat hole.pid)"
    # For each request, that would be more than a minute.
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    same base.raw a.raw
    stop f
    kill -CONT "$(cat hole.pid)"
    grep -q 'error: hole: detached, the other destinations continue; [0-9]* bytes are owed, trying again every' f.log
    [ "$(owed hole.json)" -eq 16777216 ]
    grep -q 'hole: connected, but the server sent no greeting within 0.5 s' f.log
    # A server that answers at the start, and stops in the middle.
    stop hole
    restart hole hole.raw
    fanout f memory 16M fanout-on-error=detach fanout-retries=1 fanout-retry-delay=0.1 \
        fanout-timeout=1 fanout-connect-timeout=5 \
        fanout-dest="$(uri a)" fanout-name=a "${patient[@]}" fanout-dest="$(uri hole)" fanout-name=hole
    python '
import time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
slowest = 0
for i in range(16):
    if i == 8: pause(int(open("hole.pid").read()))
    begin = time.monotonic()
    h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
    slowest = max(slowest, time.monotonic() - begin)
h.flush()
assert slowest > 0.9, slowest
' "$(uri f)"
    same base.raw a.raw
    grep -q 'warning: hole: cannot write .*: no answer within 1 s (fanout-timeout)' f.log
    until_true 10 grep -q 'error: hole: detached, the other destinations continue; [0-9]* bytes are owed, trying again every' f.log
    kill -CONT "$(cat hole.pid)"
}

@test "on-error=detach: a destination absent at the start is connected when it comes" {
    random_file base.raw 8M
    truncate -s 8M late.raw
    fanout f memory 8M fanout-on-error=detach fanout-retry-delay=0.1 fanout-retry-max=0.2 \
        fanout-dest="$(uri late)" fanout-name=late
    grep -q 'warning: late: cannot connect: .*: trying again when a client comes' f.log
    python '
import os, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(open("base.raw", "rb").read(), 0)
open("written", "w").close()
while not os.path.exists("live"): time.sleep(0.02)
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e written ]
    until_true 20 said 'error: late: detached, .* are owed, trying again every 0.2 s$'  # why has been said
    restart late late.raw
    until_true 20 said 'late: has caught up'
    touch live
    wait $client
    same base.raw late.raw
}
