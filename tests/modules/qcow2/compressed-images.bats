# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "compressed images of qemu-img are read, also below an overlay" {
    text_file disk 6M
    for options in cluster_size=512 cluster_size=4k compression_type=zstd \
        cluster_size=2M,compression_type=zstd compat=0.10; do
        qemu-img convert -c -O qcow2 -o "$options" disk base.qcow2
        rm -f over.qcow2
        nbdkit -U - "$QCOW2" over.qcow2 backing=base.qcow2 backing-format=qcow2 \
            --run 'timeout 60 nbdcopy "$uri" back'
        same disk back
        [[ $options == compat=* ]] && continue
        nbdkit -U - "$QCOW2" base.qcow2 --run 'timeout 60 nbdcopy --request-size=4096 "$uri" back2'
        same disk back2
    done
}

@test "an image with compressed clusters is written to, and stays sound" {
    text_file disk 6M
    for options in cluster_size=512 cluster_size=64k,compression_type=zstd cluster_size=2M; do
        cp disk model
        qemu-img convert -c -O qcow2 -o "$options" disk image.qcow2
        start q "$QCOW2" image.qcow2
        /usr/bin/python3 - "$(uri q)" <<'PY'
import nbd, random, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(3)
with open("model", "r+b") as model:
    for i in range(100):
        n = r.choice([1, 511, 4096, 70000, 200000])
        at = r.randrange(h.get_size() - n)
        data = bytes(n) if i % 4 == 0 else r.randbytes(n)
        h.zero(n, at) if i % 8 == 0 else h.pwrite(data, at)
        model.seek(at)
        model.write(data)
PY
        copy "$(uri q)" back
        same model back
        stop q
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 model image.qcow2
    done
}

@test "a damaged compressed cluster is an error with a reason, and other clusters are read" {
    text_file disk 4M
    for type in zlib zstd; do
        qemu-img convert -c -O qcow2 -o compression_type=$type disk image.qcow2
        # Compressed data is what follows the tables.
        dd if=/dev/urandom of=image.qcow2 bs=64k seek=6 count=3 conv=notrunc status=none
        start q "$QCOW2" image.qcow2
        refuses "Input/output error" shell q -c 'h.pread(262144, 0)'
        grep -q "image.qcow2: a compressed cluster of up to .* the image is damaged" q.log
        shell q -c 'h.pread(512, h.get_size() - 512)'
        stop q
        sound image.qcow2
    done
}
