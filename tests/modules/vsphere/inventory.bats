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
