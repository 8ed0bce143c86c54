#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
#
# The simulated vCenter that other tests use: its model, and its answers.
load ../../lib
load ../../vcenter/vcenter

# suite FILE: runs the unit tests of a file.
suite() {
    timeout 1500 /usr/bin/python3 -B -m unittest discover --start-directory "$SOURCE/tests/vcenter/unit" \
        --top-level-directory "$SOURCE/tests/vcenter" --pattern "$1" > unittest.log 2>&1 ||
        { cat unittest.log; return 1; }
    grep -q '^Ran [1-9]' unittest.log
    grep -q '^OK' unittest.log
}

FLAT='folder/web1/web1-flat.vmdk?dcPath=DC0&dsName=datastore1'
USER_PASSWORD=administrator@vsphere.local:s3cret

@test "the model of a disk: snapshots, changed and allocated blocks agree with whole copies" {
    suite test_disk.py
}

@test "sessions over HTTPS" {
    suite test_sessions.py
}

@test "the inventory and properties over HTTPS" {
    suite test_inventory.py
}

@test "the files of /folder over HTTPS" {
    suite test_folder.py
}

@test "snapshots and tasks over HTTPS" {
    suite test_snapshots.py
}

@test "changed block tracking over HTTPS" {
    suite test_change_tracking.py
}

@test "power, guests that shut down, and what a machine is made of" {
    suite test_power.py
}

@test "guests that write by themselves" {
    suite test_writer.py
}

@test "faults can be injected" {
    suite test_faults.py
}

@test "a full copy and an incremental copy with curl" {
    truncate -s 4M disk.img
    random_file data 192K
    dd if=data of=disk.img bs=64K seek=16 conv=notrunc status=none
    start_vcenter vc --vm /DC0/vm/web1=vm-42 --disk 2000=disk.img --page 1M --task-ms 20
    run soap vc FindByInventoryPath SearchIndex SearchIndex "<inventoryPath>/DC0/vm/web1</inventoryPath>"
    [[ "$status" -ne 0 && "$output" == *NotAuthenticated* ]]
    run soap_login vc wrong
    [[ "$status" -ne 0 && "$output" == *InvalidLogin* ]]
    soap_login vc
    [ "$(soap vc FindByInventoryPath SearchIndex SearchIndex \
        "<inventoryPath>/DC0/vm/web1</inventoryPath>" | element returnval)" = vm-42 ]

    run vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -o copy.img
    [ "$status" -ne 0 ] # locked
    snapshot=$(soap_snapshot vc vm-42)
    since=$(soap_property vc VirtualMachineSnapshot "$snapshot" config.hardware.device | element changeId)
    [ -n "$since" ]
    [ "$(soap_changes vc vm-42 "$snapshot" '*' 4194304)" = "1048576 196608" ]
    vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -o copy.img
    same copy.img disk.img
    soap_remove vc "$snapshot"

    control vc 'write?offset=3000000' --data-binary @data
    snapshot=$(soap_snapshot vc vm-42)
    soap_changes vc vm-42 "$snapshot" "$since" 4194304 > changes
    [ -s changes ]
    while read -r start length; do
        vcenter vc "$FLAT" -u "$USER_PASSWORD" -f -r "$start-$((start + length - 1))" |
            dd of=copy.img bs=64K seek="$start" oflag=seek_bytes conv=notrunc status=none
    done < changes
    same copy.img disk.img
    [ "$(awk '{ n += $2 } END { print n }' changes)" -le $((5 * 65536)) ]
    [ "$(control vc state | grep -c '"FindByInventoryPath": 2')" -eq 1 ]
    stop vc
    [ "$(grep -c s3cret vc/vcenter.log)" -eq 0 ]
}

@test "the thumbprints are those of the certificate" {
    truncate -s 1M disk.img
    start_vcenter vc --vm /DC0/vm/web1=vm-42 --disk 2000=disk.img
    openssl s_client -connect "$(vcenter_fact vc host)" < /dev/null 2> /dev/null > certificate.pem
    for digest in sha1:thumbprint sha256:thumbprint_sha256; do
        [[ "$(openssl x509 -in certificate.pem -noout -fingerprint "-${digest%:*}")" == \
            *"=$(vcenter_fact vc "${digest#*:}")" ]]
    done
    refuses "certificate" curl -sS "https://$(vcenter_fact vc host)/" # an unknown authority
}

@test "an invalid command line is refused" {
    truncate -s 1M disk.img
    vcenter_py="$SOURCE/tests/vcenter/vcenter.py"
    refuses "must be PATH=MOREF" "$vcenter_py" --directory d --ready r --vm foo
    refuses "must follow the --vm" "$vcenter_py" --directory d --ready r --disk 2000=disk.img
    refuses "of an existing file" "$vcenter_py" --directory d --ready r --vm /DC/vm/a=vm-1 --disk 1=none
    refuses "--page" "$vcenter_py" --directory d --ready r --vm /DC/vm/a=vm-1 --page 0
}
