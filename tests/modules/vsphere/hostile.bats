# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. A server that answers far too much.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# little_memory ARGUMENTS...: the plugin does not start, and says why. The address space is limited to what
# nbdkit, its libraries and a reasonable answer need.
little_memory() {
    (ulimit -v $((700 << 10)) && timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        disk=2000 "$@" --run true)
}

@test "an answer of 100 MiB of empty elements is refused, without the memory for it" {
    vc
    little_memory
    local method
    # One for each limit, before there is a snapshot and with one.
    for method in RetrieveServiceContent RetrievePropertiesEx QueryChangedDiskAreas; do
        control vc "fault?where=$method&kind=huge&seconds=100"
        refuses "$method at" little_memory retries=0
        [[ "$output" =~ "the answer has more than "[0-9]+" bytes" ]]
        no_snapshot
    done
    control vc "fault?where=RemoveSnapshot_Task&kind=huge&seconds=100"
    little_memory retries=0 > removal.log 2>&1
    grep -q 'left behind: remove it in vSphere: RemoveSnapshot_Task at .* the answer has more than [0-9]* bytes' removal.log
    soap_login vc > login.xml
    soap_remove vc "$(of "v['snapshots'][0]['moref']")"
}

@test "an answer below the limit of bytes, but of nothing but elements" {
    vc
    for method in RetrievePropertiesEx QueryChangedDiskAreas; do
        control vc "fault?where=$method&kind=huge&seconds=12"
        refuses "$method at" little_memory retries=0
        [[ "$output" == *"elements, which no server needs for it"* ]]
        no_snapshot
    done
}
