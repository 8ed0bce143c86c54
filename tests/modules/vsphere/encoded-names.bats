# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Names of machines that the inventory encodes.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "a machine with a slash in its name is found by its name as vSphere shows it" {
    vc_with --vm '/DC0/vm/a%2fb=vm-42' --disk 2000=two.img --vm '/DC0/vm/c%255c 100%25=vm-43' --disk 2000=one.img
    for VM in vm=a/b vm=a%2fb vm=/DC0/vm/a%2fb; do
        once -- 'nbdcopy "$uri" out.img'
        same two.img out.img
        rm out.img
    done
    VM='vm=c%5c 100%'
    once -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    # In a path a slash ends the name.
    fails "with %2f, %25 and %5c for '/', '%' and '\\' in a name" "${SERVER[@]}" "$TRUST" vm=/DC0/vm/a/b
}
