# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin's other transports, vddk and nbd, against the simulated vCenter.
load ../../lib
load ../../vcenter/vcenter
load vsphere

prepare() {
    random_file one.img 16M 1
    fallocate -p -o 4M -l 6M one.img
    echo s3cret > pass
}

# vc ARGUMENTS...: the simulator, with a machine that has one disk.
vc() {
    start_vcenter vc --vm /Europe/DC0/vm/web/web1=vm-42 --disk 2000=one.img --page 4M --task-ms 20 "$@"
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            cafile="$(vcenter_fact vc cafile)" vm=moref=vm-42 disk=2000 retry-delay=0.1)
}

serve() { start src "$VSPHERE" "${SERVER[@]}" "$@"; }

# once ARGUMENTS... -- COMMAND: the plugin under --run.
once() {
    local arguments=()
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "${arguments[@]}" --run "$2"
}

# fails TEXT ARGUMENTS...: the plugin does not start, says TEXT in one line, leaves nothing behind.
fails() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$@" --run true
    [ "$(grep -c 'nbdkit: error: [^w]' <<< "$output")" = 1 ]
    clean
}

@test "nbd: the bytes of nbdkit file and of qemu-nbd, the map of vSphere" {
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

@test "nbd: what does not fit is refused at the start" {
    vc
    start far memory 8M
    fails 'has 8388608 bytes, but the virtual machine' transport=nbd nbd-uri="$(uri far)"
    fails 'nbd-uri= is missing' transport=nbd
    fails 'nbd-uri= is for transport=nbd alone' nbd-uri="$(uri far)"
    fails 'none.sock' transport=nbd nbd-uri="nbd+unix:///?socket=$PWD/none.sock"
    SERVER=("${SERVER[@]/disk=2000/quiesce=no}")
    fails 'disk= is missing' transport=nbd nbd-uri="$(uri far)"
}

@test "nbd: a server that goes comes back; one that stays away is named" {
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

    # It goes in the middle of a copy, which does not notice.
    stop far KILL
    start far --filter=delay file one.img rdelay=1
    stop src
    serve transport=nbd nbd-uri="$(uri far)" retries=8
    rm out.img
    timeout 60 nbdcopy --request-size=65536 "$(uri src)" out.img 3>&- &
    local copy=$!
    until_true 20 grep -q 'file: pread count=65536 offset=[1-9]' far.log
    stop far KILL
    start far file one.img
    wait $copy
    same one.img out.img
    grep -q 'over nbd: .*retry 1 of 8' src.log
    stop src
    clean
}

# standin: the stand-in for VMware's library as sdk/, with its own files in standin/ (what they are is in
# tests/vddk/standin.cpp).
standin() {
    mkdir -p standin/access standin/faults sdk/lib64
    cp --sparse=always one.img standin/disk
    ln -sf "$BUILD/tests/vddk/libvixDiskLib.so.8.0.9" sdk/lib64/libvixDiskLib.so.8
    expect thumbprint "$(vcenter_fact vc thumbprint)"
    export VDDK_STANDIN=$PWD/standin
    VDDK=(transport=vddk libdir="$PWD/sdk")
}
# expect KEY VALUE: what the stand-in takes for right.
expect() {
    local -A right=([user]=administrator@vsphere.local [password]=s3cret [vm]=moref=vm-42
                    [thumbprint]=$(vcenter_fact vc thumbprint) [path]='[datastore1] web1/web1.vmdk')
    right[$1]=$2
    local key
    for key in "${!right[@]}"; do echo "$key=${right[$key]}"; done > standin/expect
}
# wrong CALL AFTER COUNT KIND...: a fault for the stand-in.
wrong() { echo "${*:2}" > "standin/faults/$1"; }

# helper: the process id of the last one that was started.
helper() { grep ' InitEx ' standin/log | tail -1 | cut -d' ' -f1; }
calls() { grep -c " $1" standin/log || true; }

# orderly: the stand-in has nothing to complain of, and no access was left behind; no process either.
orderly() {
    must_fail grep VIOLATION standin/log
    [ -z "$(ls standin/access)" ]
    until_true 20 gone "$(helper)"
    must_fail grep -r s3cret --include='*.log' .
    must_fail grep s3cret standin/log
}

@test "vddk: the bytes, the map, the access; the password is in no log, argument or environment" {
    vc
    standin
    serve "${VDDK[@]}"
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(map "$(uri src)")" = "0 4194304 0
4194304 6291456 3
10485760 6291456 0" ]
    local pid
    pid=$(helper)
    tr '\0' '\n' < "/proc/$pid/environ" > environment.log
    tr '\0' '\n' < "/proc/$pid/cmdline" > arguments.log
    grep -q "^LD_LIBRARY_PATH=$PWD/sdk/lib64" environment.log
    [ "$(cat arguments.log)" = "$BUILD/plugins/vsphere/transport/vddk/helper/nbdkit-vsphere-vddk" ]
    [ "$(ls standin/access)" = "nbdkit-replicate on $(hostname) vm-42 2000" ]
    grep -q 'VDDK: connecting as administrator@vsphere.local with \*\*\*\*\*\*\*\*' src.log
    grep -q 'transport vddk 8.0.9 (nbdssl), 16 requests at once' src.log
    grep -q "snapshot=$(of "v['snapshots'][0]['moref']") transports=nbdssl:nbd" standin/log
    checkpoint "$(uri src)" > id
    stop src
    clean
    orderly
    # Nothing was read over HTTPS; the snapshot was there until the disk was closed.
    [ "$(of "s['folder'].get('requests', 0)")" = 0 ]
    [ "$(calls PrepareForAccess)" = 2 ]

    # What has changed comes from vSphere, what is allocated of that from VDDK.
    control vc 'write?disk=2000&offset=65536&length=65536&byte=0x41'
    control vc 'write?disk=2000&offset=4259840&length=65536&byte=0'
    printf 'A%.0s' $(seq 65536) | dd of=standin/disk bs=65536 seek=1 conv=notrunc status=none
    serve "${VDDK[@]}" since="$(cat id)"
    [ "$(map "$(uri src)")" = "0 65536 1
65536 65536 0
131072 4128768 1
4259840 65536 3
4325376 12451840 1" ]
    rm out.img
    nbdcopy "$(uri src)" out.img
    same standin/disk out.img
    stop src
    orderly
}

@test "vddk: the manual's example; auto takes it with libdir=; other thumbprints, compression, config" {
    vc
    standin
    once libdir="$PWD/sdk" -- 'nbdcopy "$uri" web1.img'
    same one.img web1.img
    echo 'vixDiskLib.nfcAio.Session.BufCount=4' > vddk.conf
    once libdir="$PWD/sdk" compression=fastlz vddk-config=vddk.conf vddk-transports=nbd connections=1 \
        -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    grep -q "config=$PWD/vddk.conf" standin/log
    grep -q 'Open .* flags=36' standin/log
    grep -q 'transports=nbd$' standin/log
    SERVER=("${SERVER[@]/cafile=*/thumbprint=$(vcenter_fact vc thumbprint_sha256)}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    SERVER=("${SERVER[@]/thumbprint=*/thumbprint=$(vcenter_fact vc thumbprint)}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    SERVER=("${SERVER[@]/thumbprint=*/insecure=yes}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    orderly
    clean
}

@test "vddk: a disk that does not end at a chunk, reads that do not begin at a sector" {
    random_file one.img 8M 3
    random_file tail.img 5K 4
    cat tail.img >> one.img
    fallocate -p -o 1M -l 2M one.img
    vc
    standin
    serve "${VDDK[@]}"
    [ "$(map "$(uri src)")" = "0 1048576 0
1048576 2097152 3
3145728 5248000 0" ]
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
data = open("one.img", "rb").read()
assert h.get_size() == len(data)
for offset, length in ((0, 1), (511, 2), (2**20 * 5 + 1, 3 * 2**20), (len(data) - 7, 7), (100, 2**20 * 7)):
    assert h.pread(length, offset) == data[offset:offset + length], (offset, length)
PY
    stop src
    orderly
}

@test "vddk: each disk has a helper of its own, when it is read" {
    random_file two.img 4M 7
    start_vcenter vc --vm /Europe/DC0/vm/web/web1=vm-42 --disk 2000=one.img --disk 2001=two.img \
        --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            cafile="$(vcenter_fact vc cafile)" vm=moref=vm-42)
    standin
    sed -i '/^path=/d' standin/expect
    mkdir standin/disks
    local key
    for key in 2000 2001; do
        cp --sparse=always "$(of "v['disks']['$key']['file']")" \
            "standin/disks/$(basename "$(of "v['disks']['$key']['vmdk']")")"
    done
    serve "${VDDK[@]}"
    # Both have been tried at the start, and closed again.
    [ "$(calls InitEx)" = 2 ]
    [ "$(calls EndAccess)" = 4 ]
    nbdcopy "$(uri src 2001)" two.out
    same two.img two.out
    [ "$(ls standin/access)" = "nbdkit-replicate on $(hostname) vm-42 2001" ]
    nbdcopy "$(uri src 2000)" one.out
    same one.img one.out
    [ "$(ls standin/access | wc -l)" = 2 ]
    [ "$(calls InitEx)" = 4 ]
    stop src
    orderly
    clean
}

@test "vddk: as a daemon, and in little memory" {
    vc
    standin
    nbdkit -U "$PWD/src.sock" -P src.pid "$VSPHERE" "${SERVER[@]}" "${VDDK[@]}" 3>&-
    [ "$(calls InitEx)" = 1 ]
    [ -z "$(ls standin/access)" ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(awk '/^VmHWM/ {print $2}' "/proc/$(cat src.pid)/status")" -lt $((96 * 1024)) ]
    stop src
    clean
    orderly
}

# read_in_background: a copy that takes a while, and that it has begun: the helper that was there for the
# start has gone by then, and the one that reads has opened the disk.
read_in_background() {
    timeout 120 nbdcopy --request-size=262144 "$(uri src)" out.img > copy.log 2>&1 3>&- &
    COPY=$!
    until_true 30 grep -q 'vsphere: pread count=262144 offset=[1-9]' src.log
    until_true 30 eval '[ "$(calls "Open ")" = 2 ]'
}

@test "vddk: the helper is killed in the middle of a copy, which does not notice" {
    vc
    standin
    echo '100000 2 4' > standin/cost # 10 MiB: five seconds
    serve "${VDDK[@]}"
    read_in_background
    kill -KILL "$(helper)"
    wait $COPY
    same one.img out.img
    grep -q 'the VDDK helper process was killed by signal 9 (Killed); retry 1 of 3' src.log
    # The next one has ended the access of the one that died before it asked for its own.
    [ "$(calls InitEx)" = 3 ]
    stop src
    orderly
    clean
}

@test "vddk: nbdkit is killed; the helper closes the disk and ends the access" {
    vc
    standin
    echo '100000 20 4' > standin/cost
    serve "${VDDK[@]}" since=@state
    read_in_background
    local pid
    pid=$(helper)
    [ -n "$(ls standin/access)" ]
    stop src KILL
    wait $COPY || true
    until_true 30 gone "$pid"
    orderly
    [ "$(grep "^$pid" standin/log | tail -4 | cut -d' ' -f2)" = "Close
Disconnect
EndAccess
Exit" ]
    # Both killed: the next run ends the access, and removes the snapshot.
    rm standin/cost
    serve "${VDDK[@]}" since=@state
    nbdinfo "$(uri src)" > /dev/null
    nbdcopy "$(uri src)" out.img
    pid=$(helper)
    kill -STOP "$pid"
    stop src KILL
    kill -KILL "$pid"
    [ -n "$(ls standin/access)" ]
    once "${VDDK[@]}" since=@state -- 'nbdcopy "$uri" out2.img'
    same one.img out2.img
    orderly
    [ "$(of "len(v['snapshots'])")" = 0 ]
}

@test "vddk: a run that follows a killed one waits for that one's helper to end the access" {
    vc
    standin
    serve "${VDDK[@]}" since=@state
    nbdcopy "$(uri src)" out.img
    local pid
    pid=$(helper)
    kill -STOP "$pid"
    stop src KILL
    once "${VDDK[@]}" since=@state -- 'nbdcopy "$uri" out2.img' 3>&- &
    local run=$!
    until_true 30 eval '[ "$(calls InitEx)" = 3 ]'
    [ "$(calls PrepareForAccess)" = 2 ]
    kill -CONT "$pid"
    wait $run
    same one.img out2.img
    awk -v old="$pid" '$2 == "PrepareForAccess" { ++prepared }
        $1 == old && $2 == "EndAccess" { at = prepared } END { exit at != 2 }' standin/log
    orderly
}

@test "vddk: SIGTERM in the middle of a copy closes the disk before the snapshot goes" {
    vc
    standin
    echo '50000 20 4' > standin/cost
    serve "${VDDK[@]}"
    read_in_background
    stop src
    wait $COPY || true
    clean
    orderly
}

@test "vddk: a library that is missing, broken, or lacks something" {
    vc
    standin
    fails 'libdir= must be the directory of VMware' transport=vddk libdir="$PWD/nothing"
    fails "there is no libvixDiskLib.so.9, .8, .7 or .6 in $PWD/nothing/lib64" libdir="$PWD/nothing"
    fails 'for transport=vddk alone' transport=https compression=zlib
    fails 'must be none, zlib, fastlz or skipz' "${VDDK[@]}" compression=lzma
    echo 'not a library' > broken
    ln -sf "$PWD/broken" sdk/lib64/libvixDiskLib.so.9
    fails 'libvixDiskLib.so.9 cannot be loaded (' "${VDDK[@]}"
    ln -sf "$(ldconfig -p | awk '/libz.so.1 / {print $NF; exit}')" sdk/lib64/libvixDiskLib.so.9
    fails 'has no VixDiskLib_InitEx: VDDK 6.5 or later is needed' "${VDDK[@]}"
    [ ! -e standin/log ]
}

@test "vddk: what the server refuses is said with what to do" {
    vc
    standin
    expect thumbprint AA:BB
    fails 'VixDiskLib_Open: Unknown error (error 1): this is what VDDK says for a wrong thumbprint=' "${VDDK[@]}"
    expect password other
    timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "${VDDK[@]}" --run true > refused.log 2>&1 || true
    grep -q 'VixDiskLib_ConnectEx: Cannot authenticate the user or password (error 35): check user= and password=' refused.log
    expect path elsewhere
    fails 'VixDiskLib_Open: A file was not found (error 4): the disk is not there' "${VDDK[@]}"
    expect user administrator@vsphere.local
    wrong InitEx 0 1 error 3
    fails 'VixDiskLib_InitEx: One of the parameters was invalid (error 3)' "${VDDK[@]}"
    wrong Open 0 1 crash
    fails 'the VDDK helper process was killed by signal 11' "${VDDK[@]}"
    wrong ConnectEx 0 1 leave
    fails 'the VDDK helper process ended with status 3' "${VDDK[@]}"
    truncate -s 8M standin/disk
    fails 'VDDK sees 8388608 bytes, but the disk has 16777216' "${VDDK[@]}"
    once "${VDDK[@]}" -- true || true
    clean
}

@test "vddk: reads that fail are tried again, with a new helper if need be; what is final is told" {
    vc
    standin
    serve "${VDDK[@]}" retries=3
    for fault in 'ReadAsync 2 1 error 14009' 'ReadAsync.callback 2 1 error 2' 'ReadAsync 3 1 crash' \
            'ReadAsync.callback 1 1 crash' 'ReadAsync.callback 0 1 leave'; do
        wrong $fault
        rm -f out.img
        timeout 60 nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(cut -d' ' -f1,2 "standin/faults/${fault%% *}")" = "0 0" ]
    done
    local started
    started=$(calls InitEx)
    # The same handle once more, then a new one.
    wrong ReadAsync 0 2 error 14009
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    [ "$(calls InitEx)" -gt "$started" ]
    wrong ReadAsync 0 100 error 14009
    refuses 'Input/output error' timeout 60 qemu-io -r -f raw -c 'read 64k 64k' "$(uri src)"
    grep -q 'error: transport vddk: cannot read .* bytes at offset 65536 of \[datastore1\] web1/web1.vmdk on 127.0.0.1:.*: The server refused connection (error 14009)' src.log
    wrong ReadAsync 0 1 error 13
    refuses 'Input/output error' timeout 60 qemu-io -r -f raw -c 'read 64k 64k' "$(uri src)"
    [ "$(cut -d' ' -f2 standin/faults/ReadAsync)" = 0 ]
    rm standin/faults/*
    rm -f out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    orderly
    clean
}

@test "vddk: no answer to what is allocated, no leave to hold Storage vMotion back: it goes on" {
    vc
    standin
    wrong QueryAllocatedBlocks 0 1 error 3
    wrong PrepareForAccess 0 2 error 6
    serve "${VDDK[@]}"
    # Then change tracking tells it.
    [ "$(map "$(uri src)" | head -2)" = "0 4194304 0
4194304 6291456 3" ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    grep -q 'VDDK does not tell what is allocated on .*One of the parameters was invalid (error 3)' src.log
    grep -q 'warning: Storage vMotion is not kept from moving' src.log
    stop src
    orderly
}

@test "vddk: a machine with somebody's snapshot can be read, and it stays" {
    vc
    soap_login vc
    soap_snapshot vc vm-42
    standin
    expect path "[datastore1] $(of "v['disks']['2000']['vmdk']")"
    serve "${VDDK[@]}"
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    [ "$(of "len(v['snapshots'])")" = 1 ]
    orderly
}

@test "--dump-plugin tells of the transports, and of the VDDK that would be used" {
    vc
    standin
    nbdkit "$VSPHERE" libdir="$PWD/sdk" --dump-plugin > dump
    grep -qx "vddk=$PWD/sdk/lib64/libvixDiskLib.so.8" dump
    grep -qx 'vddk_version=8.0.9' dump
    grep -qx 'transports=vddk,https,nbd' dump
    local helper
    helper=$(realpath "$BUILD")/plugins/vsphere/transport/vddk/helper/nbdkit-vsphere-vddk
    grep -qx "vddk_helper=$helper" dump
    # It is beside the plugin, not beside what leads there.
    ln -s "$VSPHERE" linked.so
    nbdkit "$PWD/linked.so" --dump-plugin | grep -qx "vddk_helper=$helper"
    nbdkit "$VSPHERE" libdir="$PWD/nothing" --dump-plugin > dump
    grep -qx 'vddk=not found' dump
    grep -qx 'transports=https,nbd' dump
    ln -s libvixDiskLib.so.8 sdk/lib64/libvixDiskLib.so.6
    nbdkit "$VSPHERE" libdir="$PWD/sdk" --dump-plugin | grep -q 'libvixDiskLib.so.8$'
}

@test "timeout=: VDDK or an NBD server that does not answer does not hang us" {
    vc
    standin
    serve "${VDDK[@]}" timeout=1
    wrong ReadAsync 0 1 hang
    timeout 60 nbdcopy "$(uri src)" out.img
    same one.img out.img
    grep -q 'VDDK did not answer within 1000 ms, and its helper was killed; retry 1 of 3' src.log
    stop src
    orderly

    start far file one.img
    serve transport=nbd nbd-uri="$(uri far)" timeout=1 retries=0
    nbdcopy "$(uri src)" out.img
    kill -STOP "$(cat far.pid)"
    refuses "" timeout 30 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    grep -q 'error: transport nbd: .*timed out' src.log
    kill -CONT "$(cat far.pid)"
    rm out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}
