# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Several nbdkits that want the same machine.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "a second nbdkit does not remove the snapshot of the first one" {
    vc
    serve disk=2000
    refuses 'is being read by another nbdkit' timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 --run true
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

# one_of_several N: copies a disk with its own nbdkit, to out.N.
one_of_several() {
    timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 \
        --run 'nbdcopy "$uri" out.'"$1" > "log.$1" 2>&1 3>&-
}

@test "several nbdkits at once: there are never two snapshots" {
    vc --task-ms 100
    local round n pids served=0
    for round in 1 2 3; do
        pids=()
        for n in 1 2 3 4; do
            one_of_several $n &
            pids+=($!)
        done
        for n in 1 2 3 4; do
            if wait "${pids[n - 1]}"; then
                same two.img out.$n
                served=$((served + 1))
            else
                grep -q 'is being read by another nbdkit on this computer' log.$n
            fi
        done
    done
    echo "$served of 12 were served"
    [ "$served" -ge 3 ]
    [ "$(of "v['most_snapshots']")" = 1 ]
    [ "$(of "v['taken']")" = "$served" ]
    clean
}

@test "one vCenter under two names is one vCenter" {
    vc
    serve disk=2001
    local host
    host=$(vcenter_fact vc host)
    refuses 'is being read by another nbdkit on this computer' timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" \
        server="localhost:${host#*:}" thumbprint="$(vcenter_fact vc thumbprint)" "$VM" disk=2001 --run true
    nbdcopy "$(uri src)" out.img
    same two.img out.img
    stop src
    clean
}
