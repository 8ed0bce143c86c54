# SPDX-License-Identifier: BSD-3-Clause
#
# A virtual machine boots from a disk that is not here yet: the example of nbdkit-pull-filter(1). The disk's boot loader
# reads the kernel and the initrd by the BIOS, which waits for each read; Linux then reads, compares and writes (disk.py).
load ../../lib
load ../../modules/pull/recipes
load kernel

# console TEXT: the machine of the example that begins with TEXT runs until it powers itself off.
console() {
    example "$1"
    timeout 600 bash -e example.sh < /dev/null > console
    cat console
}

@test "a virtual machine boots while its disk is brought over, and then from the image alone" {
    find_kernel || skip 'no kernel, or a program that makes the disk is absent: scripts/setup --tests'
    /usr/bin/python3 "$SOURCE/tests/system/boot/disk.py" "$kernel" "$modules" vm.raw
    sha256sum vm.raw > before
    start src --filter=delay file vm.raw rdelay=10ms
    serves dst 'nbdkit -U dst.sock --filter=pull qcow2 file=vm'
    console "qemu-system-x86_64 -m 512 -nographic -drive file='nbd+unix"
    grep 'boot 1: 32 files are as they were made' console
    grep 'boot 1: done' console
    example 'until jq'
    sed -i 's/web1/vm/' example.sh
    timeout 60 bash -e example.sh
    stop dst
    stop src
    sha256sum -c before
    sound vm.qcow2
    console 'qemu-system-x86_64 -m 512 -nographic -drive file=vm.qcow2'
    grep 'boot 2: 33 files are as they were made' console
    grep 'boot 2: done' console
}
