# SPDX-License-Identifier: BSD-3-Clause
#
# transport=nbd: the data comes from an NBD server, the map from the simulated vCenter.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load one-disk

@test "the data comes from nbdkit or qemu-nbd, the map from vSphere" {
    vc
    start far file one.img
    start_qemu qemu -e 0 -r -f raw one.img
    for server in far qemu; do
        serve transport=nbd nbd-uri="$(uri $server)"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(map "$(uri src)")" = "0 4194304 0
4194304 6291456 3
10485760 6291456 0" ]
        grep -q "transport nbd (.*$server.sock" src.log
        checkpoint "$(uri src)" > id
        stop src
        clean
        rm out.img
    done
    control vc 'write?disk=2000&offset=65536&length=65536&byte=0x41'
    serve transport=nbd nbd-uri="$(uri far)" since="$(cat id)"
    nbdinfo --is readonly "$(uri src)"
    [ "$(map "$(uri src)")" = "0 65536 1
65536 65536 0
131072 16646144 1" ]
    # The https transport was never used.
    [ "$(of "s['folder'].get('requests', 0)")" = 0 ]
}

@test "an NBD server with another disk, and parameters that do not go together, are refused" {
    vc
    start far memory 8M
    fails 'has 8388608 bytes, but the virtual machine' transport=nbd nbd-uri="$(uri far)"
    fails 'nbd-uri= is missing' transport=nbd
    fails 'nbd-uri= is only for transport=nbd' nbd-uri="$(uri far)"
    fails 'none.sock' transport=nbd nbd-uri="nbd+unix:///?socket=$PWD/none.sock"
    SERVER=("${SERVER[@]/disk=2000/quiesce=no}")
    fails 'disk= is missing' transport=nbd nbd-uri="$(uri far)"
}

@test "the NBD server is reconnected to; if it stays away the error names it" {
    vc
    start far file one.img
    serve transport=nbd nbd-uri="$(uri far)" retries=2
    nbdcopy "$(uri src)" out.img
    stop far KILL
    refuses "" timeout 60 qemu-io -r -f raw -c 'read 1M 64k' "$(uri src)"
    grep -q 'error: transport nbd: .*far.sock' src.log
    [ "$(grep -c 'over nbd: .*retry . of 2' src.log)" -ge 2 ]
    start far file one.img
    rm out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img

    # It goes when a copy has begun, which does not notice.
    stop far KILL
    start far file one.img
    stop src
    serve transport=nbd nbd-uri="$(uri far)" retries=8
    rm out.img
    kill -STOP "$(cat far.pid)"
    timeout 600 nbdcopy --request-size=65536 "$(uri src)" out.img 3>&- &
    local copy=$!
    until_true 20 grep -q 'vsphere: pread count=65536' src.log
    stop far KILL
    start far file one.img
    wait $copy
    same one.img out.img
    grep -q 'over nbd: .*retry 1 of 8' src.log
    stop src
    clean
}

@test "a request that the NBD server does not answer within timeout= fails" {
    vc
    start far file one.img
    serve transport=nbd nbd-uri="$(uri far)" timeout=5 retries=0
    nbdcopy "$(uri src)" out.img
    kill -STOP "$(cat far.pid)"
    refuses "" timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    grep -q 'error: transport nbd: .*timed out' src.log
    kill -CONT "$(cat far.pid)"
    rm out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src # first: nbdkit waits for its clients
}

# told_to_end: the start is stuck. SIGTERM is heeded within 2 s (and what the machine's load adds).
told_to_end() {
    kill -TERM "$(cat early.pid)"
    until_true 6 gone "$(cat early.pid)" || { cat early.log; return 1; }
    grep -q 'nbdkit: error: told to end by .* before it was ready' early.log
    clean
}

@test "SIGTERM while the NBD server does not answer the start: heeded at once, and the snapshot is removed" {
    vc
    # It accepts connections, and sends nothing.
    /usr/bin/python3 -c '
import signal, socket, sys
hole = socket.socket(socket.AF_UNIX)
hole.bind(sys.argv[1])
hole.listen()
signal.pause()' "$PWD/far.sock" 3>&- &
    echo $! > hole.pid
    until_true 20 listens far
    early transport=nbd nbd-uri="$(uri far)"
    until_true 20 eval '[ "$(of "len(v[\"snapshots\"])")" = 1 ]'
    told_to_end
    stop hole

    # It does not answer the first read.
    start far --filter=delay file one.img rdelay=60
    early transport=nbd nbd-uri="$(uri far)"
    until_true 20 grep -q 'delay: pread' far.log
    told_to_end
}
