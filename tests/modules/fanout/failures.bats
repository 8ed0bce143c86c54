# SPDX-License-Identifier: BSD-3-Clause
#
# A destination fails, and the client gets an error (fanout-on-error=fail).
load ../../lib
load fanout

@test "a destination is killed during a copy: an error that names it, and no hang" {
    random_file base.raw 64M
    start a memory 64M
    start victim --filter=rate memory 64M rate=40M
    # One thread for each connection: with more, nbdkit 1.32 may abort when a client disconnects while another
    # thread answers it. This client disconnects after the error.
    fanout f -t 1 memory 64M fanout-dest="$(uri a)" fanout-dest="$(uri victim)" fanout-name=victim \
        fanout-retries=0 fanout-stats="$PWD/stats.prom"
    timeout 60 nbdcopy --flush base.raw "$(uri f)" > copy.log 2>&1 3>&- &
    copy=$!
    until_true 20 grep -q 'pwrite count' f.log
    stop victim KILL
    status=0
    wait $copy || status=$? # not with run: in its subshell there is nobody to be waited for
    [ "$status" -ne 0 ]
    [ "$status" -lt 124 ]
    grep -q 'error: victim: cannot .*: the connection was lost: this destination is no longer' f.log
    until_true 20 said 'victim: [0-9]* bytes written and'  # it has no client any more
    # nbdkit still runs, and the next client gets the error at once.
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: victim: cannot connect' f.log
}

@test "a destination that dies while idle is noticed at the next flush" {
    start a memory 1M
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=victim fanout-retries=0
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"z" * 512, 0)
os.kill(int(open("a.pid").read()), signal.SIGKILL)
try:
    h.flush()
    sys.exit("the flush was acknowledged")
except nbd.Error as e:
    assert e.errno == "EIO", e
try:
    h.pwrite(b"z" * 512, 0)
    sys.exit("the write was acknowledged")
except nbd.Error as e:
    assert e.errno == "EIO", e
assert h.pread(512, 0) == b"z" * 512
' "$(uri f)"
    # It may have been noticed before the flush.
    grep -q 'error: victim: cannot .*: the connection was lost: this destination' f.log
}

@test "a lost destination is EIO for the client, whatever the cause" {
    start killed memory 1M
    start silent memory 1M
    # The client would take ESHUTDOWN for the end of nbdkit.
    start leaving --filter=error memory 1M error-pwrite=ESHUTDOWN error-pwrite-rate=100%
    for lost in killed silent leaving; do
        fanout f memory 1M fanout-dest="$(uri $lost)" fanout-name=$lost fanout-retries=0 fanout-timeout=1
        python '
import os, signal
lost = sys.argv[2]
pid = int(open(lost + ".pid").read())
h = nbd.NBD(); h.connect_uri(sys.argv[1])
if lost == "killed": os.kill(pid, signal.SIGKILL)
if lost == "silent": pause(pid)
try:
    while True: h.pwrite(b"z" * 512, 0)
except nbd.Error as e:
    print(lost, e.errno)
finally:
    if lost == "silent": os.kill(pid, signal.SIGCONT)
' "$(uri f)" $lost >> errors
        grep "error: $lost: .*: this destination is no longer a copy" f.log
        stop f
    done
    diff <(printf '%s EIO\n' killed silent leaving) errors
}

@test "ENOSPC of a destination reaches the client" {
    start full --filter=error memory 1M error-pwrite=ENOSPC error-pwrite-rate=100%
    fanout f memory 1M fanout-dest="$(uri full)" fanout-name=full
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"No space left"* ]]
    grep -q 'error: full: cannot write 65536 bytes at offset 0: No space left on device' f.log
}

@test "EPERM of a destination is not retried" {
    start no --filter=error memory 1M error-pwrite=EPERM error-pwrite-rate=100%
    fanout f memory 1M fanout-dest="$(uri no)" fanout-name=no
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"not permitted"* ]]
    grep -q 'error: no: cannot write 65536 bytes at offset 0: Operation not permitted' f.log
    must_fail grep -q 'trying again' f.log
}

@test "a destination that stops answering ends the request at fanout-timeout" {
    start a memory 1M
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=a fanout-timeout=1 fanout-retries=0
    run python '
import os, signal, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
pause(int(open("a.pid").read()))
begin = time.monotonic()
try:
    h.pwrite(b"z" * 512, 0)
finally:
    took = time.monotonic() - begin
    os.kill(int(open("a.pid").read()), signal.SIGCONT)
    assert took > 0.9, took
' "$(uri f)"
    [ "$status" -eq 1 ]   # and not 124: it ended by itself
    [[ "$output" != *AssertionError* ]]
    grep -q 'error: a: cannot write 512 bytes at offset 0: no answer within 1 s (fanout-timeout)' f.log
}
