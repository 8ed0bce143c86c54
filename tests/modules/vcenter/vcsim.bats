#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
#
# VMware's simulator vcsim with our additions, if Debian's golang-github-vmware-govmomi-dev is installed.
# It checks our requests independently, as it decodes them with the types of the API.
load ../../lib
load ../../vcenter/vcenter

FLAT='folder/web1/web1-flat.vmdk?dcPath=DC0&dsName=datastore1'
USER_PASSWORD=administrator@vsphere.local:s3cret
VCSIM=$BUILD/tests/vcsim/vcsim

# Builds vcsim, which takes minutes the first time.
setup_file() {
    local status=0
    timeout 500 "$SOURCE/tests/vcenter/vcsim/build" "$VCSIM" > "$BATS_FILE_TMPDIR/build.log" 2>&1 ||
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
    truncate -s 4M disk.img
    random_file data 192K
    dd if=data of=disk.img bs=64K seek=16 conv=notrunc status=none
}

# start_vcsim OPTIONS...: with one VM, vm-42, and a login.
start_vcsim() {
    start_simulator vc "$VCSIM" --vm /DC0/vm/folder/web1=vm-42 --disk 2000=disk.img --page 1M "$@"
    soap_login vc > login.xml
}

change_id() {
    soap_property vc VirtualMachineSnapshot "$1" config.hardware.device | element changeId
}

@test "vcsim: the VM is found by path and by uuid, with the properties asked for" {
    start_vcsim
    [ "$(soap vc FindByInventoryPath SearchIndex SearchIndex \
        "<inventoryPath>/DC0/vm/folder/web1</inventoryPath>" | element returnval)" = vm-42 ]
    uuid=$(soap_property vc VirtualMachine vm-42 config.instanceUuid | element val)
    [ "$(soap vc FindByUuid SearchIndex SearchIndex \
        "<uuid>$uuid</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>" |
        element returnval)" = vm-42 ]
    [ "$(soap_property vc VirtualMachine vm-42 config.changeTrackingEnabled | element val)" = true ]
    [ "$(soap_property vc VirtualMachine vm-42 runtime.powerState | element val)" = poweredOn ]
    [ -z "$(soap_property vc VirtualMachine vm-42 snapshot | element currentSnapshot)" ]
    soap vc Logout SessionManager SessionManager
    run soap vc FindByInventoryPath SearchIndex SearchIndex "<inventoryPath>/DC0</inventoryPath>"
    [[ "$status" -ne 0 && "$output" == *NotAuthenticated* ]]
}

@test "vcsim: a full copy and an incremental copy" {
    start_vcsim
    [ "$(vcenter vc "$FLAT" -o refused -w '%{http_code}')" = 401 ]
    [ "$(vcenter vc "$FLAT" -u "$USER_PASSWORD" -o locked -w '%{http_code}')" = 500 ]
    snapshot=$(soap_snapshot vc vm-42)
    since=$(change_id "$snapshot")
    [ -n "$since" ]
    [ "$(soap_changes vc vm-42 "$snapshot" '*' 4194304)" = "1048576 196608" ]
    cp disk.img before.img
    control vc 'write?offset=3000000' --data-binary @data
    control vc 'unmap?offset=1048576&length=65536'
    vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -o copy.img
    same copy.img before.img # as of the snapshot
    soap_remove vc "$snapshot"
    [ "$(control vc state | grep -c '"snapshots": \[\]')" -eq 1 ]

    snapshot=$(soap_snapshot vc vm-42)
    soap_changes vc vm-42 "$snapshot" "$since" 4194304 > changes
    [ "$(cat changes)" = "1048576 65536
2949120 196608
3145728 65536" ] # in three pages
    [ "$(soap_changes vc vm-42 "$snapshot" '*' 4194304 | head -1)" = "1114112 131072" ]
    while read -r start length; do
        vcenter vc "$FLAT" -b vc.cookies -f -r "$start-$((start + length - 1))" |
            dd of=copy.img bs=64K seek="$start" oflag=seek_bytes conv=notrunc status=none
    done < changes
    same copy.img disk.img
}

@test "vcsim: two snapshots have their own content and changes" {
    start_vcsim
    first=$(soap_snapshot vc vm-42)
    since=$(change_id "$first")
    cp disk.img first.img
    control vc 'write?offset=0&length=65536&byte=1'
    second=$(soap_snapshot vc vm-42)
    cp disk.img second.img
    control vc 'write?offset=0&length=131072&byte=2'
    [ "$(soap_changes vc vm-42 "$second" "$since" 4194304)" = "0 65536" ]
    vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -o copy.img
    same copy.img first.img # the base VMDK has the content of the first snapshot
    [ "$(soap_property vc VirtualMachineSnapshot "$second" config.hardware.device | element fileName |
        head -1)" = "[datastore1] web1/web1-000001.vmdk" ]
    soap_remove vc "$first"
    vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -o copy.img
    same copy.img second.img
    soap vc RemoveAllSnapshots_Task VirtualMachine vm-42
    [ "$(soap_property vc VirtualMachine vm-42 config.hardware.device | element fileName)" = \
        "[datastore1] web1/web1.vmdk" ]
}

@test "vcsim: faults of QueryChangedDiskAreas" {
    start_vcsim
    snapshot=$(soap_snapshot vc vm-42)
    query() { # DEVICE-KEY START CHANGE-ID [SNAPSHOT]
        soap vc QueryChangedDiskAreas VirtualMachine vm-42 "${4+<snapshot type=\"VirtualMachineSnapshot\">$4</snapshot>}<deviceKey>$1</deviceKey><startOffset>$2</startOffset><changeId>$3</changeId>"
    }
    refuses 'invalidProperty>startOffset' query 2000 4194304 '*' "$snapshot"
    refuses 'invalidProperty>deviceKey' query 2001 0 '*' "$snapshot"
    refuses 'InvalidArgument' query 2000 0 '*'
    refuses 'cbt.cannotGetChanges' query 2000 0 garbage "$snapshot"
    since=$(change_id "$snapshot")
    control vc reset
    soap_remove vc "$snapshot"
    refuses 'ManagedObjectNotFound' query 2000 0 '*' "$snapshot"
    refuses 'cbt.cannotGetChanges' query 2000 0 "$since" "$(soap_snapshot vc vm-42)"
}

@test "vcsim: change tracking switched on takes effect at the next stun" {
    start_vcsim --no-cbt
    soap vc ReconfigVM_Task VirtualMachine vm-42 \
        "<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>"
    temporary=$(soap_snapshot vc vm-42)
    [ -z "$(change_id "$temporary")" ]
    soap_remove vc "$temporary"
    snapshot=$(soap_snapshot vc vm-42)
    [ -n "$(change_id "$snapshot")" ]
}

@test "vcsim: import writes the blocks that differ" {
    start_vcsim
    snapshot=$(soap_snapshot vc vm-42)
    since=$(change_id "$snapshot")
    soap_remove vc "$snapshot"
    cp disk.img other.img
    dd if=data of=other.img bs=64K count=1 conv=notrunc status=none
    dd if=/dev/zero of=other.img bs=64K seek=17 count=1 conv=notrunc status=none
    [ "$(control vc "import?file=$PWD/other.img" | grep -c '"changed": 2')" -eq 1 ]
    same disk.img other.img
    snapshot=$(soap_snapshot vc vm-42)
    [ "$(soap_changes vc vm-42 "$snapshot" "$since" 4194304)" = "0 65536
1114112 65536" ]
}
