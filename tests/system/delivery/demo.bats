# SPDX-License-Identifier: BSD-3-Clause
#
# The demonstration with a small disk as its IMAGE argument. Its default, a disk with a file system, takes too long here.
load ../../lib

@test "scripts/demo replicates an image, whole and then incrementally, and leaves nothing behind" {
    random_file disk.img 24M
    truncate -s 80M disk.img
    REPLICATE_BUILD=$BUILD TMPDIR=$PWD timeout 1500 "$SOURCE/scripts/demo" disk.img > demo.log 2>&1 || { cat demo.log; false; }
    [ "$(grep -c 'equals the source (' demo.log)" = 6 ]
    [ "$(grep -c 'is sound' demo.log)" = 2 ]
    # The table has a row of eight numbers for each run, and the increment is smaller than the disk.
    awk '$1 == "mon" && $2 == "80.0" && NF == 9 { whole = $4 }
         $1 == "tue" && $2 == "80.0" && NF == 9 { delta = $3; written = $5 }
         END { exit !(whole >= 24 && delta > 0 && delta < 60 && written > 0) }' demo.log
    [ -z "$(ls -d nbdkit-replicate-demo.* 2> /dev/null)" ]
}

@test "scripts/demo cutover migrates a machine with three disks, and leaves nothing behind" {
    DEMO_DOWNTIME=1h REPLICATE_BUILD=$BUILD TMPDIR=$PWD timeout 1500 "$SOURCE/scripts/demo" cutover > demo.log 2>&1 ||
        { cat demo.log; false; }
    [ "$(grep -c 'equals the disk (' demo.log)" = 3 ]
    [ "$(grep -c 'is clean (e2fsck)' demo.log)" = 2 ]
    grep -q 'cutover: handed over at' demo.log
    [ -z "$(ls -d nbdkit-replicate-demo.* 2> /dev/null)" ]
}
