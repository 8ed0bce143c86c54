# SPDX-License-Identifier: BSD-3-Clause
#
# Other projects' test programs on images of the qcow2 plugin: fio with checksums, and hundreds of qemu-io operations
# whose result is compared with a raw file. QCOW2_ROUNDS=N makes it N times as many.
load ../../lib

@test "fio: random writes of 512 bytes to 1 MiB are verified, also after trims and overwrites" {
    for cluster in 512 64K 2M; do
        start "q$cluster" "$QCOW2" "$cluster.qcow2" size=32M cluster-size=$cluster l2-cache=1M
        common=(--ioengine=nbd --uri="$(uri "q$cluster")" --size=32M --iodepth=32 --randrepeat=1
            --verify_fatal=1 --output-format=terse)
        timeout 120 fio "${common[@]}" --name=mixed --rw=randwrite --bsrange=512-1M --verify=crc32c \
            --randseed=7 > fio.log
        timeout 120 fio "${common[@]}" --name=small --rw=randrw --rwmixread=30 --bs=4k --io_size=4M \
            --verify=crc32c --randseed=8 > fio.log
        timeout 120 fio "${common[@]}" --name=trims --rw=randtrim --bs=64k --io_size=8M --randseed=9 > fio.log
        timeout 120 fio "${common[@]}" --name=again --rw=write --bs=1M --offset=8M --size=12M --verify=crc32c > fio.log
        timeout 60 nbdcopy "$(uri "q$cluster")" before
        stop "q$cluster"
        sound "$cluster.qcow2"
        qemu-img compare -f raw -F qcow2 before "$cluster.qcow2"
        rm -f "$cluster.qcow2" before
    done
}

# operations SEED: prints commands for qemu-io on 12 MiB, and does the same to the file "model".
operations() {
    /usr/bin/python3 - "$1" "$((${QCOW2_ROUNDS:-1} * 200))" <<'PY'
import random, sys
r = random.Random(int(sys.argv[1]))
size = 12 << 20
with open("model", "r+b") as model:
    for i in range(int(sys.argv[2])):
        n = r.choice((512, 4096, 65536, 65536 * 3, 1 << 20)) * r.randrange(1, 4)
        at = r.randrange((size - n) // 512 + 1) * 512
        model.seek(at)
        what = r.randrange(10)
        if what < 6:
            pattern = r.randrange(1, 256)
            print(f"write {'-f ' if r.randrange(20) == 0 else ''}-P {pattern} {at} {n}")
            model.write(bytes([pattern]) * n)
        elif what < 8:
            print(f"write -z {'-u ' if r.randrange(2) else ''}{at} {n}")
            model.write(bytes(n))
        elif what < 9:
            if r.randrange(3) == 0:
                print("flush")
        else:
            print(f"read {at} {n}")
print("quit")
PY
}

@test "qemu-io: hundreds of operations, through the server and on the image itself" {
    random_file base 6M
    for how in alone over; do
        clusters=(512 64K)
        [ $how = alone ] || clusters=(512 4K 1M)
        for cluster in "${clusters[@]}"; do
            truncate -s 0 model
            options=(size=12M)
            if [ $how = over ]; then
                cp base model
                options+=(backing=base backing-format=raw)
            fi
            truncate -s 12M model
            start "$how$cluster" "$QCOW2" image.qcow2 cluster-size=$cluster create=always l2-cache=1M "${options[@]}"
            operations 1 > commands
            timeout 120 qemu-io -f raw "$(uri "$how$cluster")" < commands > io.log
            must_fail grep -Ei 'fail|error' io.log
            timeout 60 nbdcopy "$(uri "$how$cluster")" back
            same model back
            stop "$how$cluster"
            sound image.qcow2
            qemu-img compare -f raw -F qcow2 model image.qcow2
            # Then QEMU writes to the image, then the plugin again.
            operations 2 > commands
            timeout 120 qemu-io image.qcow2 < commands > io.log
            start "again$how$cluster" "$QCOW2" image.qcow2 backing=auto
            operations 3 > commands
            timeout 120 qemu-io -f raw "$(uri "again$how$cluster")" < commands > io.log
            stop "again$how$cluster"
            sound image.qcow2
            qemu-img compare -f raw -F qcow2 model image.qcow2
        done
    done
}
