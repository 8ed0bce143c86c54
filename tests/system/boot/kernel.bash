# SPDX-License-Identifier: BSD-3-Clause
#
# What disk.py needs.

# Sets `kernel` and `modules`: what scripts/setup --tests has fetched, or a kernel that is installed. Fails if there is
# none.
find_kernel_files() {
    local version
    for kernel in /var/cache/nbdkit-replicate/boot/vmlinuz-* /boot/vmlinuz-*-amd64; do
        version=${kernel##*/vmlinuz-}
        for modules in "${kernel%/*}/modules/$version" "/lib/modules/$version"; do
            if [ -r "$kernel" ] && [ -d "$modules" ]; then return 0; fi
        done
    done
    return 1
}

# The same; fails too where a program is absent.
find_kernel() {
    local program
    [ "$(uname -m)" = x86_64 ] || return 1
    for program in qemu-system-x86_64 busybox syslinux mformat mke2fs; do
        command -v "$program" > /dev/null || return 1
    done
    [ -e /usr/lib/syslinux/mbr/mbr.bin ] || return 1
    find_kernel_files
}
