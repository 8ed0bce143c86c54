# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin's other transports, vddk and nbd, against the simulated vCenter.
load ../lib
load ../vcenter/vcenter

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

state() { control vc state; }
# of EXPRESSION: of the simulator's state s, and its VM v.
of() { state | /usr/bin/python3 -c "import json, sys; s = json.load(sys.stdin); v = s['vms']['vm-42']; print($1)"; }
clean() { [ "$(of "(len(v['snapshots']), s['sessions'])")" = "(0, 0)" ]; }

# fails TEXT ARGUMENTS...: the plugin does not start, says TEXT in one line, leaves nothing behind.
fails() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$@" --run true
    [ "$(grep -c 'nbdkit: error: [^w]' <<< "$output")" = 1 ]
    clean
}

map() { nbdinfo --map "$1" | awk '{print $1, $2, $3}'; }

checkpoint() {
    nbdinfo --json "$1" | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])'
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
    start far --filter=delay file one.img rdelay=100ms
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
