#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
#
# The plugin's requests, read by VMware's simulator vcsim with our additions, if Debian's
# golang-github-vmware-govmomi-dev is installed: vcsim decodes them with the types of the API. What the
# answers mean is tested with the other simulator (../vsphere), whole jobs from vcsim in tests/system/job.
load ../../lib
load ../../vcenter/vcenter
load ../vsphere/vsphere

VCSIM=$BUILD/tests/vcsim/vcsim

setup_file() {
    local status=0
    timeout 1500 "$SOURCE/tests/vcenter/vcsim/build" "$VCSIM" > "$BATS_FILE_TMPDIR/build.log" 2>&1 ||
        status=$?
    echo "$status" > "$BATS_FILE_TMPDIR/built"
}

prepare() {
    case $(cat "$BATS_FILE_TMPDIR/built") in
    0) ;;
    77) skip "$(cat "$BATS_FILE_TMPDIR/build.log")" ;;
    *)
        cat "$BATS_FILE_TMPDIR/build.log"
        return 1
        ;;
    esac
    made_once one.img random_file_with_holes 4M 1 0 1M 1280K 2M
    echo s3cret > pass
}

# start_vcsim OPTIONS...: with one machine, which has one disk.
start_vcsim() {
    start_simulator vc "$VCSIM" --vm /DC0/vm/folder/web1=vm-42 --disk 2000=one.img --page 1M "$@"
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            retry-delay=0.05)
    TRUST=cafile=$(vcenter_fact vc cafile)
    VM=vm=/DC0/vm/folder/web1
}

no_snapshot() { [ "$(state | jq '[.vms[].snapshots | length] | add')" = 0 ]; }
nothing_left() { no_snapshot; }

@test "vcsim: tracking is turned on, a whole copy, and what has changed, however the machine is named" {
    start_vcsim --no-cbt
    refuses 'enable-cbt=yes turns it on' once -- true
    serve enable-cbt=yes
    [ "$(map "$(uri src)")" = "0 1048576 3
1048576 262144 0
1310720 2097152 3
3407872 786432 0" ]
    cp one.img then.img
    control vc 'write?offset=3000000&length=200000&byte=7'
    nbdcopy "$(uri src)" out.img
    same then.img out.img # as of the snapshot
    checkpoint "$(uri src)" > id
    [ "$(state | jq '[.vms[].snapshots | length] | add')" = 1 ]
    stop src
    no_snapshot

    control vc 'unmap?offset=1048576&length=65536'
    local uuid
    soap_login vc > login.xml
    uuid=$(soap_property vc VirtualMachine vm-42 config.instanceUuid | element val)
    for VM in vm=web1 vm=moref=vm-42 vm=uuid="$uuid"; do
        once since="$(cat id)" -- 'nbdinfo --map "$uri"; nbdcopy "$uri" out.img' > map
        [ "$(awk '{print $1, $2, $3}' map)" = "0 1048576 1
1048576 65536 3
1114112 1835008 1
2949120 262144 0
3211264 983040 1" ]
        same one.img out.img
    done
    no_snapshot
}

@test "vcsim: its faults are understood" {
    start_vcsim
    once -- 'nbdinfo --json "$uri"' > info
    jq -r '.exports[0].description | fromjson | .checkpoint' info > id
    control vc reset
    once since="$(cat id)" -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'the whole disk 2000 is in the delta' warning
    refuses 'on-reset=full copies all' once since="$(cat id)" on-reset=fail -- true
    refuses 'the object is gone' once vm=moref=vm-99 -- true
    refuses 'there is no such virtual machine' once vm=/DC0/vm/none -- true
    echo wrong > pass
    refuses 'check user= and password=' once -- true
    no_snapshot
}

@test "vcsim: a machine is shut down, switched off and on, and described" {
    /usr/bin/python3 -c 'import pyVmomi' || skip "python3-pyvmomi is not installed"
    start_vcsim
    run /usr/bin/python3 -B "$SOURCE/tests/vcenter/clients/machine_client.py" "$(vcenter_fact vc host)" \
        "$(vcenter_fact vc cafile)" /DC0/vm/folder/web1
    [ "$output" = "poweredOn
poweredOff
poweredOff
poweredOff
poweredOn
poweredOn
poweredOff
web1 2000 4194304 [datastore1] web1/web1.vmdk" ]
}
