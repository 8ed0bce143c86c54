# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate-recipes(7): devices, object stores and tapes, socket pairs, Kubernetes; and that each example is run.
load ../job
load manual

@test "a block device: whole, and then what has changed" {
    mkdir dev
    random_file disk.img 8M
    # It is larger than the disk, as devices may be.
    truncate -s 9M dev/web1-2000
    runs '    --to file /dev/backup/web1-2000'
    cmp -n 8388608 disk.img dev/web1-2000
    random_file part 100K 2
    dd if=part of=disk.img bs=1K seek=3000 conv=notrunc status=none
    runs '    --to file /dev/backup/web1-2000'
    cmp -n 8388608 disk.img dev/web1-2000
}

# points_of_a_file: a plan with the hooks of the page, of a disk that is a file; web1 has two restore points.
points_of_a_file() {
    random_file disk.img 8M
    mkdir -p backup
    cat > plan.toml <<END
images = "backup/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}"
$(cat hooks)
[vm.web1]
source = ["file", "disk.img", "delta-digests=$PWD/web1.digests"]
END
    bin/nbdkit-replicate run plan.toml
    cp disk.img monday.img
    random_file part 100K 2
    dd if=part of=disk.img bs=1K seek=3000 conv=notrunc status=none
    bin/nbdkit-replicate run plan.toml
}

@test "S3: a hook copies complete restore points; what is copied back can be restored" {
    PLACES+=(-e "s,/usr/local/bin/,$PWD/bin/,")
    example 'after = ["/usr/local/bin/to-s3"]'
    cp example.sh hooks
    example '#!/bin/sh'
    cp example.sh bin/to-s3
    cat > bin/rclone <<END
#!/bin/sh
[ "\$1 \${3%%:*}" = "copyto s3" ]
mkdir -p "\$(dirname "$PWD/s3/\${3#s3:}")"
cp "\$2" "$PWD/s3/\${3#s3:}"
END
    chmod +x bin/rclone bin/to-s3
    export PATH=$PWD/bin:$PATH
    points_of_a_file
    [ "$(find s3/backup/web1 -name '*.qcow2' | wc -l)" = 2 ]
    [ "$(find s3/backup/web1 -name '*.digests' | wc -l)" = 2 ]
    # Elsewhere, without a plan, states, or the images themselves.
    rm -r backup states
    mv s3/backup/web1 elsewhere
    nbdkit-replicate list --directory elsewhere | tee listed
    [ "$(grep -c complete listed)" -ge 1 ]
    nbdkit-replicate verify --directory elsewhere --all --build "$BUILD"
    nbdkit-replicate restore --directory elsewhere --to 'restored.raw'
    same disk.img restored.raw
}

@test "tape: complete restore points, and back" {
    : > hooks
    points_of_a_file
    runs 'tar -c'
    mkdir elsewhere
    tar -x -f tape.tar -C elsewhere
    bin/nbdkit-replicate restore --directory elsewhere/web1 --to restored.raw
    same disk.img restored.raw
}

@test "a copy as a source, twice" {
    random_file disk.img 4M
    local step
    for step in 1 2; do
        bin/nbdkit-replicate --state web1.state --from file disk.img delta-digests=web1.digests --to qcow2 file=web1.qcow2
        runs 'nbdkit-replicate --state second.state'
        qemu-img compare -f raw -F qcow2 disk.img second.qcow2
        printf changed | dd of=disk.img bs=1 seek=$((step * 1000000)) conv=notrunc status=none
    done
}

@test "socket pairs: nbdkit --run, nbdcopy with brackets, nbdkit -s" {
    random_file disk.img 4M
    qemu-img convert -O qcow2 disk.img web1.qcow2
    [ "$(runs "nbdkit -U - qcow2 file=web1.qcow2")" = 4194304 ]
    runs 'nbdcopy -- ['
    same disk.img web1.raw
    [ "$(runs "nbdsh -c 'h.connect_command")" = 4194304 ]
}

@test "each example of the page is run by a test, or the page says that it is not" {
    /usr/bin/python3 "$SOURCE/tests/system/manual/pod_examples.py" --rest "$SOURCE/man/$PAGE.pod" \
        "$SOURCE"/tests/system/manual/recipes-*.bats
}
