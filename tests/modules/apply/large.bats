# SPDX-License-Identifier: BSD-3-Clause
#
# Sources that newer libraries and servers make possible: a petabyte, and one behind SSH.
load ../../lib

@test "the map of a petabyte is read in a few requests, where libnbd and the server have long block status" {
    needs_libnbd 1.18
    qemu-img create -q -f qcow2 -o cluster_size=2M source.qcow2 1P
    qemu-io -f qcow2 -c 'write -P 0x41 0 64k' -c 'write -P 0x42 900T 64k' source.qcow2 > written
    start_qemu source -f qcow2 --read-only --trace nbd_receive_request source.qcow2
    nbdinfo "$(uri source)" > info
    grep -q 'protocol: .* using extended' info || skip "this qemu-nbd has no extended headers"
    start copy --filter="$APPLY" null 1P apply-from="$(uri source)" apply-state="$PWD/state"
    # The whole map of the source is the delta: what is written there, the first and the last, is owed.
    /usr/bin/python3 -c '
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"A" * 65536, 0)
h.pwrite(b"B" * 65536, 900 << 40)
h.flush()
h.shutdown()' "$(uri copy)"
    stop copy
    stop source
    requests=$(grep -c '^nbd_receive_request .*\.type = 0x7,' source.log)
    echo "$requests requests for block status"
    [ "$requests" -ge 3 ]
    [ "$requests" -le 200 ]
}

@test "apply-from=nbd+ssh://: the server is reached through ssh" {
    needs_libnbd 1.22
    random_file source.img 1M
    truncate -s 1M copy.img
    start source --filter="$DELTA" file source.img
    # An ssh that needs no other machine, and no nc there: what nc -U SOCKET does is done here.
    mkdir bin
    cat > bin/ssh << 'END'
#!/usr/bin/python3
import os, socket, sys, threading
with open("ssh.log", "a") as log:
    print(*sys.argv[1:], file=log)
assert sys.argv[-3:-1] == ["nc", "-U"], sys.argv
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[-1])
def answers():
    while data := server.recv(65536):
        while data:
            data = data[os.write(1, data):]
    os._exit(0)
threading.Thread(target=answers).start()
while data := os.read(0, 65536):
    server.sendall(data)
server.shutdown(socket.SHUT_WR)
END
    chmod +x bin/ssh
    PATH=$PWD/bin:$PATH start copy --filter="$APPLY" file copy.img apply-from="nbd+ssh://far/?socket=$PWD/source.sock" \
        apply-state="$PWD/state"
    nbdcopy --destination-is-zero "$(uri source)" "$(uri copy)"
    stop copy
    grep -q ' far nc -U ' ssh.log
    same source.img copy.img
    [ "$(jq -c .owed state)" = '[]' ]
}
