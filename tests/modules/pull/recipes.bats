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

@test "use a disk as a file, by nbdfuse, and bring it over" {
    [ -w /dev/fuse ] || skip "there is no /dev/fuse"
    command -v nbdfuse || skip "there is no nbdfuse"
    random_file web1.raw 16M
    serves src 'nbdkit -U src.sock'
    serves dst 'nbdkit -U dst.sock --filter=pull qcow2'
    example 'mkdir mnt'
    sed -i 's/^ *nbdfuse/exec nbdfuse/; s/ &$//' example.sh
    bash -e example.sh > fuse.log 2>&1 3>&- &
    echo $! > fuse.pid
    until_true 60 eval 'test -e mnt/nbd || gone "$(cat fuse.pid)"'
    test -e mnt/nbd || { cat fuse.log; skip "nothing can be mounted here"; }
    timeout 60 cmp web1.raw mnt/nbd
    printf 'written' | timeout 60 dd of=mnt/nbd bs=1 seek=1000000 conv=notrunc status=none
    umount mnt
    until_true 60 gone "$(cat fuse.pid)"
    rm fuse.pid
    example 'until jq'
    timeout 60 bash -e example.sh
    stop dst
    printf 'written' | dd of=web1.raw bs=1 seek=1000000 conv=notrunc status=none
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

@test "copy without a client" {
    random_file web1.raw 16M
    for run in 1 2; do
        serves src 'nbdkit -U src.sock --filter=delta'
        example 'nbdkit -f -U dst.sock --filter=pull --filter=apply'
        timeout 60 bash -e example.sh
        stop src
        rm src.sock dst.sock
        qemu-img compare -f raw web1.raw -F qcow2 web1.qcow2
        printf changed | dd of=web1.raw bs=1 seek=5000000 conv=notrunc status=none
    done
}
