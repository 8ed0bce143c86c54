# SPDX-License-Identifier: BSD-3-Clause
#
# compress= of the qcow2 plugin, written by nbdcopy, compared with qemu-img convert -c in its fastest
# mode. The data is an ext4 file system with files of this machine, some of which compress well and some
# of which do not. Both sizes and times are compared, as one can be improved at the cost of the other.
import os
import random
import shutil

from bench import Directory, Table, module, run, seconds

QCOW2 = module("plugin", "qcow2")
SIZE = 1400 << 20  # of the files
# As nbdkit-qcow2-plugin(1) recommends for few processors. -m 8 for qemu-img was found by trying, too.
THREADS = ("-t", "4")


def real_disk(directory):
    """A raw disk: an ext4 file system with random files of /usr, the same ones each time."""
    files = []
    for root, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files.append((path, os.path.getsize(path)))
    random.Random(7).shuffle(files)
    stage, total = directory / "stage", 0
    for path, size in files:
        if total + size > SIZE or size > SIZE // 16:
            continue
        os.makedirs(os.path.dirname(stage + path), exist_ok=True)
        shutil.copyfile(path, stage + path)
        total += size
    disk = directory / "disk"
    with open(disk, "wb") as f:
        f.truncate((total + total // 3) >> 20 << 20)
    run("mke2fs", "-q", "-t", "ext4", "-d", stage, disk)
    shutil.rmtree(stage)
    return disk


def main():
    table = Table("qcow2-compress: real files, compressed, in memory")
    with Directory() as directory:
        disk = real_disk(directory)
        length = os.path.getsize(disk)
        mine, theirs = directory / "mine.qcow2", directory / "theirs.qcow2"
        sizes = {}  # file -> its size in each run

        def ours(threads, *options):
            if os.path.exists(mine):
                os.unlink(mine)
            sizes.setdefault(mine, []).append(0)
            took = seconds(run, "nbdkit", *threads, "-U", "-", QCOW2, f"file={mine}", f"size={length}", *options,
                           "--run", f'nbdcopy --flush {disk} "$uri"')
            sizes[mine][-1] = os.path.getsize(mine)
            return took

        def qemu_img(kind):
            if os.path.exists(theirs):
                os.unlink(theirs)
            took = seconds(run, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                           f"compression_type={kind}", "-W", "-m", "8", disk, theirs)
            sizes.setdefault(theirs, []).append(os.path.getsize(theirs))
            return took

        def case(name, kind, level, time_goal, size_goal, threads=THREADS):
            sizes.clear()
            options = [f"compress={kind}"] + ([f"compress-level={level}"] if level else [])
            against = f"qemu-img convert -c {kind} -W -m 8"
            if table.compare(name, against, lambda: ours(threads, *options), lambda: qemu_img(kind),
                             at_most=time_goal) is None:
                return
            run("qemu-img", "check", mine)
            run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, mine)
            pairs = list(zip(sizes[mine], sizes[theirs]))
            table.row(name + ", size", against, f"{pairs[-1][0] >> 20} MiB", f"{pairs[-1][1] >> 20} MiB",
                      [a / b for a, b in pairs], at_most=size_goal, form="{:.4f}")

        case("zstd", "zstd", None, 0.70, 1.00)
        case("zstd level 1", "zstd", 1, 0.48, 1.04)
        case("zlib", "zlib", None, 0.35, 1.00)
        case("zstd, nbdkit's default number of threads", "zstd", None, None, None, ())
    table.end()


main()
