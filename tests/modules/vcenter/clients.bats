# SPDX-License-Identifier: BSD-3-Clause
#
# The simulated vCenter, looked at by the clients of others: pyVmomi (Debian's python3-pyvmomi) and govmomi, if
# they are installed. They find what the plugin finds.
load ../../lib
load ../../vcenter/vcenter
load ../vsphere/vsphere

# A disk of an odd size, with areas in two pages.
prepare() {
    random_file_with_holes one.img 8M 1 1M 4M 6M 1M
    head -c 512 one.img >> one.img
    truncate -s 64K two.img
    echo s3cret > pass
    vc
    NAMES=("$(vcenter_fact vc host)" "$(vcenter_fact vc cafile)" Europe/DC0/vm/web/web1)
    control vc 'fault?where=CreateSnapshot_Task&kind=ApplicationQuiesceFault&task=1&after=1'
}

# data: of a map, as the clients print it.
data() { awk '$3 == 0 {print "area", $1, $2}'; }

# merged: areas that touch are one. (The simulator's pages end at 4 MiB.)
merged() {
    awk '$1 == "area" { if (n && at + n == $2) n += $3; else { if (n) print "area", at, n; at = $2; n = $3 } }
        END { if (n) print "area", at, n }'
}

# agrees CLIENT...: what the client finds, and is refused.
agrees() {
    "$@" "${NAMES[@]}" > found || { cat found; return 1; }
    cat found
    local uuids tracked
    uuids=$(of "v['uuid'] + ' ' + v['instance_uuid']")
    tracked=$(grep '^checkpoint ' found | cut -d' ' -f2-)
    diff <(grep -v '^area ' found | sed 's/ $//') - <<EOF
fault InvalidLogin
server VirtualCenter 8.0.2.0
vm vm-42 web1 $uuids poweredOn
found vm-42 vm-42
all web1
path /Europe/DC0/vm/web/web1
disk 2000 8389120 Hard disk 1 [datastore1] web1/web1.vmdk datastore1
disk 2001 65536 Hard disk 2 [datastore1] web1/web1_1.vmdk datastore1
tracking True True
tree 1 by a client <&>"' é True True
checkpoint $tracked
fault InvalidArgument startOffset
fault FileFault vim.hostd.vmsvc.cbt.cannotGetChanges
tree None
fault ManagedObjectNotFound True
fault ManagedObjectNotFound True
fault ApplicationQuiesceFault
session administrator@vsphere.local
fault NotAuthenticated
EOF
    clean
    once disk=2000 -- 'nbdinfo --map "$uri"; nbdinfo --size "$uri" >&2' 2> size > map
    [ "$(cat size)" = 8389120 ]
    [ "$(merged < found)" = "$(data < map)" ]

    control vc 'write?disk=2000&offset=4194000&length=70000&byte=7'
    control vc 'write?disk=2000&offset=8388608&length=512&byte=7'
    "$@" "${NAMES[@]}" "$tracked" > changed
    cat changed
    once disk=2000 since="$tracked" -- 'nbdinfo --map "$uri"' > map
    [ "$(merged < changed)" = "$(data < map)" ]
    [ "$(grep -c '^area' changed)" -gt 2 ]
    clean
}

@test "pyVmomi" {
    /usr/bin/python3 -c 'import pyVmomi' || skip "python3-pyvmomi is not installed"
    agrees /usr/bin/python3 -B "$SOURCE/tests/vcenter/clients/pyvmomi_client.py"
}

@test "govmomi" {
    local status=0
    "$SOURCE/tests/vcenter/vcsim/build" "$BUILD/tests/vcsim/govmomi" "$SOURCE/tests/vcenter/clients/govmomi" \
        > build.log 2>&1 || status=$?
    [ "$status" != 77 ] || skip "$(cat build.log)"
    cat build.log
    [ "$status" = 0 ]
    agrees "$BUILD/tests/vcsim/govmomi"
}
