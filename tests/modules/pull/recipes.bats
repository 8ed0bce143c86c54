# SPDX-License-Identifier: BSD-3-Clause
#
# The examples of nbdkit-pull-filter(1).
load ../../lib
load pull
load recipes

@test "use a disk and bring it over: nbdcopy, then the image alone" {
    random_file web1.raw 16M
    serves src 'nbdkit -U src.sock'
    serves dst 'nbdkit -U dst.sock --filter=pull qcow2'
    example "nbdcopy 'nbd+unix"
    timeout 60 bash -e example.sh
    same web1.raw copy.raw
    example 'until jq'
    timeout 60 bash -e example.sh
    stop dst
    stop src
    example 'qemu-img check'
    bash -e example.sh
    qemu-img compare -f raw web1.raw -F qcow2 web1.qcow2
}

@test "several destinations" {
    random_file web1.raw 16M
    serves src 'nbdkit -U src.sock'
    start dr memory 16M
    mkdir fanout
    serves dst 'nbdkit -U dst.sock --filter=pull --filter=fanout'
    example 'until jq'
    timeout 60 bash -e example.sh
    stop dst
    qemu-img compare -f raw web1.raw -F qcow2 web1.qcow2
    timeout 60 nbdcopy "$(uri dr)" dr.raw
    same web1.raw dr.raw
}
