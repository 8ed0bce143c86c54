# SPDX-License-Identifier: BSD-3-Clause
#
# disk.py KERNEL MODULES OUT: a disk that boots Linux, made of Debian's kernel, busybox and syslinux, without root's rights.
# KERNEL is vmlinuz-VERSION, MODULES the folder lib/modules/VERSION. The boot loader reads the kernel and an initrd from a
# FAT partition by the BIOS; the init then reads all of an ext4 partition, compares it with its checksums, counts the boots
# there, and writes. It says so on the serial console:
#
#     boot 1: 32 files are as they were made
#     boot 1: done
import hashlib
import lzma
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

M = 1 << 20
SECTOR = 512
# In megabytes. What is behind the last one stays empty.
FAT, SYSTEM, SIZE = (1, 31), (32, 64), 256
SYSLINUX = "/usr/lib/syslinux"

# The driver of the disk; its dependencies come before it.
DRIVERS = ("virtio_pci", "virtio_blk")

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
fail() { echo "boot failed: $*"; poweroff -f; }
for module in $(cat /modules/order); do insmod /modules/$module || fail "insmod $module"; done
mount -t ext4 /dev/vda2 /mnt || fail "the disk cannot be mounted"
cd /mnt
echo up >> boots
boot=$(wc -l < boots)
md5sum -c -s sums || fail "boot $boot: the disk has other bytes"
echo "boot $boot: $(wc -l < sums) files are as they were made"
dd if=/dev/urandom of=written-$boot bs=1M count=4 2> /dev/null && md5sum written-$boot >> sums || fail "writing"
cd /
umount /mnt || fail "umount"
echo "boot $boot: done"
poweroff -f
"""

SYSLINUX_CFG = """serial 0 115200
default linux
label linux
kernel vmlinuz
initrd initrd
append console=ttyS0 quiet panic=-1 rdinit=/init
"""


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{command}: {done.stdout.decode(errors='replace')}")


def read(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
        return f.read()


def modules_in_order(folder):
    """(name, content) of the drivers and of what they need, which comes first. Each says itself what that is."""
    paths = {}
    for directory, _, files in os.walk(folder):
        for file in files:
            name, extension, _ = file.partition(".ko")
            if extension:
                paths[name.replace("-", "_")] = os.path.join(directory, file)
    order = {}

    def add(name):
        if name in order or name not in paths:  # or it is built in
            return
        content = read(paths[name])
        for needed in re.search(rb"\0depends=([^\0]*)", content)[1].decode().split(","):
            add(needed.replace("-", "_"))
        order[name] = content
    for driver in DRIVERS:
        add(driver)
    return order.items()


class Cpio:
    """An archive in the format of an initrd ("newc", in the kernel's Documentation/driver-api/early-userspace)."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        self.data += b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        self.pad()
        self.data += content
        self.pad()

    def pad(self):
        self.data += bytes(-len(self.data) % 4)


def initrd(modules):
    archive = Cpio()
    for name in ("bin", "dev", "proc", "mnt", "modules"):
        archive.add(name, 0o040755)
    archive.add("dev/console", 0o020600, device=(5, 1))
    archive.add("bin/busybox", 0o100755, read("/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox"))
    archive.add("init", 0o100755, INIT.encode())
    order = modules_in_order(modules)
    for name, content in order:
        archive.add(f"modules/{name}", 0o100644, content)
    archive.add("modules/order", 0o100644, "".join(name + "\n" for name, _ in order).encode())
    archive.add("TRAILER!!!", 0)
    return bytes(archive.data)


def boot_record():
    """syslinux's first sector, which starts the active partition, with the table of both partitions."""
    record = bytearray(SECTOR)
    code = read(f"{SYSLINUX}/mbr/mbr.bin")
    record[:len(code)] = code
    for i, ((start, length), active, kind) in enumerate(((FAT, 0x80, 0x0e), (SYSTEM, 0, 0x83))):
        any_place = b"\xfe\xff\xff"  # as cylinder, head and sector: the numbers that follow count
        record[446 + 16 * i:462 + 16 * i] = struct.pack("<B3sB3sII", active, any_place, kind, any_place,
                                                        start * M // SECTOR, length * M // SECTOR)
    record[510:] = b"\x55\xaa"
    return bytes(record)


def system(folder):
    """The files of the system: 24 MiB in all, and their checksums."""
    source, sums = random.Random(5), ""
    for i in range(32):
        content = source.randbytes(768 << 10)
        with open(f"{folder}/file-{i}", "wb") as f:
            f.write(content)
        sums += f"{hashlib.md5(content).hexdigest()}  file-{i}\n"
    with open(f"{folder}/sums", "w") as f:
        f.write(sums)


def main(kernel, modules, out):
    with open(out, "wb") as f:
        f.write(boot_record())
        f.truncate(SIZE * M)
    with tempfile.TemporaryDirectory() as d:
        for name, content in (("initrd", initrd(modules)), ("syslinux.cfg", SYSLINUX_CFG.encode())):
            with open(f"{d}/{name}", "wb") as f:
                f.write(content)
        os.environ["MTOOLS_SKIP_CHECK"] = "1"
        fat = f"{out}@@{FAT[0] * M}"
        run("mformat", "-i", fat, "-T", FAT[1] * M // SECTOR, "-h", 16, "-s", 63, "-H", FAT[0] * M // SECTOR, "::")
        run("mcopy", "-i", fat, kernel, "::vmlinuz")
        run("mcopy", "-i", fat, f"{d}/initrd", f"{d}/syslinux.cfg", "::")
        run("syslinux", "--install", "--offset", FAT[0] * M, out)
        os.mkdir(f"{d}/system")
        system(f"{d}/system")
        run("mke2fs", "-q", "-t", "ext4", "-d", f"{d}/system", "-E", f"offset={SYSTEM[0] * M}", out, f"{SYSTEM[1]}M")


main(*sys.argv[1:])
