# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Finding the virtual machine and its files, whatever their names are.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "vm= is a path, a name, a moref or a UUID" {
    cp two.img two2.img
    cp two.img two3.img
    vc --vm /Europe/DC0/vm/old/twin=vm-50 --disk 2000=two2.img --vm /Asia/DC1/vm/twin=vm-51 --disk 2000=two3.img
    for vm in web1 Europe/DC0/vm/web/web1 moref=vm-42 "uuid=$(of "v['uuid']")" "uuid=$(of "v['instance_uuid']")"; do
        VM=vm=$vm
        once disk=2001 -- 'nbdcopy "$uri" out.img'
        same two.img out.img
        rm out.img
    done
    fails '/Europe/DC0/vm/old/twin (moref=vm-50), /Asia/DC1/vm/twin (moref=vm-51)' "${SERVER[@]}" "$TRUST" vm=twin
    # Another datacenter is another dcPath.
    VM=vm=/Asia/DC1/vm/twin
    once -- 'nbdcopy "$uri" out.img'
    same two3.img out.img
}

@test "a large inventory: the property collector answers in pages" {
    local all=() i
    truncate -s 64K empty.img
    for i in 1 2 3 4 5 6 7; do
        all+=(--vm "/DC0/vm/other$i=vm-5$i" --disk 2000=empty.img)
    done
    vc_with "${all[@]}" --vm /DC0/vm/last=vm-99 --disk 2000=two.img
    control vc 'answers?objects=3'
    VM=vm=last once -- 'nbdcopy "$uri" out.img'
    same two.img out.img
    [ "$(of "s['soap']['ContinueRetrievePropertiesEx']")" = 2 ]
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=none
    # The session expires between two pages: it begins anew.
    control vc 'fault?where=ContinueRetrievePropertiesEx&kind=NotAuthenticated&after=1'
    VM=vm=last once -- 'nbdinfo --size "$uri"'
    [ "$(of "s['faults']")" = 0 ]
    control vc 'answers?objects=1'
    VM=vm=other7 once -- 'nbdinfo --size "$uri"'
}

@test "a disk whose size is not a multiple of KiB, nor of 64 KiB" {
    random_file two.img 1M 5
    head -c 1536 two.img > odd
    cat odd >> two.img
    vc_with --vm /DC0/vm/web1=vm-42 --disk 2000=two.img
    VM=vm=web1 once -- 'nbdinfo --size "$uri"; nbdcopy "$uri" out.img' > size
    [ "$(cat size)" = $(((1 << 20) + 1536)) ]
    same two.img out.img
}

@test "nested folders, and names with every character that a path, a URL or XML reserves" {
    local name='/My & <Folder>/DC "1"+é/vm/a b/c%2fd/deep/web #1; ?x=y & 100%25'
    start_vcenter vc --vm "$name=vm-42" --disk 2000=two.img --datastore 'store (1) + &é' --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass")
    TRUST=cafile=$(vcenter_fact vc cafile)
    for VM in "vm=$name" "vm=${name#/}" "vm=${name##*/}"; do
        once -- 'nbdcopy "$uri" out.img'
        same two.img out.img
        rm out.img
    done
    clean
}

@test "a moref, and names that need quoting" {
    start_vcenter vc --vm '/My & Folder/DC 1+/vm/web #1 50% off=vm-42' --disk 2000=two.img --datastore 'store &1' --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass")
    TRUST=cafile=$(vcenter_fact vc cafile)
    VM=vm=moref=vm-42
    once -- 'nbdcopy "$uri" out.img'
    same two.img out.img
}

@test "what the user may not see is an error, not a property that is not set" {
    vc
    control vc 'fault?where=RetrievePropertiesEx&kind=missing'
    fails 'lacks a privilege' "${SERVER[@]}" "$TRUST" vm=moref=vm-42 disk=2001
    [ "$(of "v['taken']")" = 0 ]
    # Also if the session has expired, which is not a fault of the call then.
    control vc 'fault?where=RetrievePropertiesEx&kind=missing&key=NotAuthenticated'
    VM=vm=moref=vm-42 once disk=2001 -- 'nbdcopy "$uri" out.img'
    same two.img out.img
}
