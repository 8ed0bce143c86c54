# SPDX-License-Identifier: BSD-3-Clause
#
# Errors, clients that die, and the end of the server.
load ../../lib
load slow_disk

# asked: the number of reads that clients have sent.
asked() { grep -c 'coalesce: pread' server.log || true; }

@test "errors of the layer below reach the client, and end with their cause" {
    start server -r --filter="$COALESCE" --filter=error --filter=delay file disk rdelay=1ms \
        error-pread-rate=10%
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
disk = open("disk", "rb").read()
failed = 0
for at in range(0, len(disk), 65536):
    for attempt in range(30):
        try:
            assert h.pread(65536, at) == disk[at:at+65536], at
            break
        except nbd.Error:
            failed += 1
    else:
        raise SystemExit("never read: %d" % at)
print("failed:", failed)
PY
    stop server
    touch broken
    start server -r --filter="$COALESCE" --filter=error --filter=delay file disk rdelay=1ms \
        error-pread-rate=100% error-pread-file="$PWD/broken"
    must_fail timeout 60 nbdcopy --synchronous "$(uri server)" out
    rm broken
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
}

@test "after clients have died the next one is served, and the server ends" {
    # One thread a connection: with more, nbdkit 1.32 itself may abort when a client goes while another
    # thread is about to answer it ("raw_send_socket: Assertion").
    start server -r -t 1 --filter="$COALESCE" --filter=delay file disk rdelay=200ms
    for n in 1 2 3; do
        seen=$(asked)
        nbdcopy "$(uri server)" null: 3>&- &
        client=$!
        until_true 60 eval '[ "$(asked)" -gt "$seen" ]'
        kill -KILL $client || true # or it has ended
        wait $client || true
    done
    timeout 60 nbdcopy "$(uri server)" out
    same disk out
    pid=$(cat server.pid)
    kill -TERM "$pid"
    until_true 30 gone "$pid"
}

@test "a server that is told to stop during a copy stops" {
    start server -r --filter="$COALESCE" --filter=delay file disk rdelay=100ms
    nbdcopy --synchronous "$(uri server)" null: 3>&- &
    client=$!
    until_true 60 grep -q 'coalesce: pread' server.log
    pid=$(cat server.pid)
    kill -TERM "$pid"
    until_true 30 gone "$pid"
    wait $client || true
    must_fail grep -qi 'assert' server.log
}
