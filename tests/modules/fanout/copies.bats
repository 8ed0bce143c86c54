# SPDX-License-Identifier: BSD-3-Clause
#
# What a client writes is at every destination.
load ../../lib
load fanout

@test "random requests: all destinations are equal to the primary" {
    random_file base.raw 32M
    for copy in primary file; do cp base.raw "$copy.raw"; done
    qemu-img convert -f raw -O qcow2 base.raw image.qcow2
    start file file file.raw
    start memory memory 33M
    start_qemu qemu --shared=0 -f qcow2 image.qcow2 --discard=unmap
    timeout 60 nbdcopy base.raw "$(uri memory)"
    fanout f file primary.raw fanout-concurrency=3 \
        fanout-dest="$(uri file)" fanout-name=file fanout-concurrency=8 \
        fanout-dest="$(uri memory)" fanout-name=memory fanout-dest="$(uri qemu)"

    # The client keeps a model of the disk.
    python '
import random
r = random.Random(int(sys.argv[2]))
h = nbd.NBD(); h.connect_uri(sys.argv[1])
assert h.can_zero() and h.can_trim() and h.can_fua() and h.can_flush()
assert not h.can_fast_zero()
size = h.get_size()
model = bytearray(open("base.raw", "rb").read())
pending = []
def settle():
    while pending:
        h.poll(-1)
        pending[:] = [c for c in pending if not h.aio_command_completed(c)]
for i in range(600):
    n = r.choice([1, 511, 4096, 65536, 1 << 20, r.randrange(1, 3 << 20)])
    o = r.randrange(0, size - n + 1)
    fua = nbd.CMD_FLAG_FUA if r.random() < 0.1 else 0
    what = r.random()
    if what < 0.55:
        data = r.randbytes(n)
        h.pwrite(data, o, fua)
        model[o:o+n] = data
    elif what < 0.8:
        h.zero(n, o, fua | (nbd.CMD_FLAG_NO_HOLE if r.random() < 0.5 else 0))
        model[o:o+n] = bytes(n)
    elif what < 0.95:
        h.trim(n, o, fua)
        model[o:o+n] = bytes(n)
    else:
        h.flush()
# The same in parallel, without overlaps.
buffers = []
for i in range(64):
    buffers.append(nbd.Buffer.from_bytearray(bytearray(r.randbytes(65536))))
    pending.append(h.aio_pwrite(buffers[i], i * 65536))
    model[i*65536:(i+1)*65536] = buffers[i].to_bytearray()
settle()
h.flush()
h.shutdown()
open("model.raw", "wb").write(model)
' "$(uri f)" "$RANDOM"
    stop f
    grep -E 'file: [0-9]+ bytes written and [0-9]+ zeroed in [0-9]+ requests' f.log
    for server in file memory qemu; do timeout 60 nbdcopy "$(uri $server)" $server.out; done
    same model.raw primary.raw
    same model.raw file.out
    same model.raw qemu.out
    cmp -n 33554432 model.raw memory.out
    # What lies beyond the end of the primary is not touched.
    cmp -i 33554432:0 -n 1048576 memory.out /dev/zero
}

# shows SERVER FILE: its disk is that file. A destination may have to catch up, if the client came while it ended.
shows() {
    if ! timeout 60 nbdcopy "$(uri "$1")" "$1.out"; then return 1; fi
    cmp -s "$2" "$1.out"
}

@test "nbdcopy on several connections, qemu-img, fio with verify" {
    random_file base.raw 24M
    start a memory 24M
    truncate -s 24M b.raw
    start_qemu b --shared=8 -f raw b.raw
    fanout f memory 24M fanout-dest="$(uri a)" fanout-dest="$(uri b)"
    timeout 60 nbdcopy -C 4 -T 4 --flush base.raw "$(uri f)"
    for server in f a b; do timeout 60 nbdcopy "$(uri $server)" $server.out; same base.raw $server.out; done

    truncate -s 24M other.raw
    cp --sparse=never base.raw part.raw
    dd if=part.raw of=other.raw bs=1M count=7 seek=9 conv=notrunc status=none
    timeout 60 qemu-img convert -n -f raw -O raw other.raw "$(uri f | sed 's,nbd+unix:///?socket=,nbd:unix:,')"
    timeout 60 nbdcopy "$(uri f)" f.out
    same other.raw f.out
    for server in a b; do until_true 20 shows $server other.raw; done

    timeout 100 fio --name=v --ioengine=nbd --uri="$(uri f)" --rw=randwrite --bs=16k --size=24M \
        --iodepth=16 --verify=crc32c --verify_fatal=1 > fio.log || { cat fio.log; false; }
    timeout 60 nbdcopy "$(uri f)" f.out
    for server in a b; do until_true 20 shows $server f.out; done
}

@test "a flush and FUA reach the primary and every destination" {
    start a --filter=log memory 1M logfile="$PWD/a.requests"
    # A server without FUA: the filter flushes it.
    start b --filter=log --filter=fua memory 1M logfile="$PWD/b.requests"
    fanout f --filter=log memory 1M logfile="$PWD/f.requests" \
        fanout-dest="$(uri a)" fanout-dest="$(uri b)"
    # A primary without FUA, too.
    fanout g --filter=log --filter=fua memory 1M logfile="$PWD/g.requests" fanout-dest="$(uri a)"
    cat > changes.py <<'PY'
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.flush()
h.flush()
h.pwrite(b"z" * 512, 0, nbd.CMD_FLAG_FUA)
h.zero(512, 512, nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_NO_HOLE)
h.trim(512, 1024, nbd.CMD_FLAG_FUA)
h.pwrite(b"z" * 512, 2048)
h.zero(512, 2048, nbd.CMD_FLAG_NO_HOLE)
h.zero(512, 4096)
PY
    /usr/bin/python3 changes.py "$(uri f)"
    for server in f b; do stop $server; done
    for log in f.requests a.requests; do
        [ "$(grep -c ' Flush id=' $log)" -ge 2 ]
        [ "$(grep ' Write id=' $log | grep -c 'fua=1')" -eq 1 ]
        [ "$(grep ' Write id=' $log | grep -c 'fua=0')" -eq 1 ]
        [ "$(grep ' Zero id=' $log | grep -c 'fua=1')" -eq 2 ]
    done
    # NO_HOLE stays: trim=0; the trim, and the last zero, may make holes.
    [ "$(grep ' Zero id=' a.requests | grep -c 'trim=0')" -eq 2 ]
    [ "$(grep ' Zero id=' a.requests | grep -c 'trim=1')" -eq 2 ]
    [ "$(grep -c ' Flush id=' b.requests)" -eq 6 ]  # one at the end, for what had no FUA
    /usr/bin/python3 changes.py "$(uri g)"
    stop g
    stop a
    [ "$(grep -c ' Flush id=' g.requests)" -eq 5 ]
}

@test "a destination's minimum block size is advertised and enforced" {
    start a --filter=blocksize-policy memory 1M blocksize-minimum=4096 blocksize-error-policy=error
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=a
    python '
h = nbd.NBD(); h.set_strict_mode(0); h.connect_uri(sys.argv[1])
assert h.get_block_size(nbd.SIZE_MINIMUM) == 4096
h.pwrite(b"b" * 8192, 4096)
try:
    h.pwrite(b"b" * 512, 0)
    sys.exit("written")
except nbd.Error as e:
    assert e.errno == "EINVAL", e
h.flush()
' "$(uri f)"
    grep -q 'error: a: the server takes only blocks of 4096 bytes' f.log
}

@test "a destination that cannot zero is sent zeroes" {
    random_file base.raw 8M
    start a --filter=nozero memory 8M
    fanout f memory 8M fanout-dest="$(uri a)"
    timeout 60 nbdcopy base.raw "$(uri f)"
    until_true 20 grep -q 'bytes written and' f.log # so the next client does not come while the destination ends
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
assert h.can_zero() and not h.can_trim()
h.zero(3000001, 1234567)
' "$(uri f)"
    for server in f a; do timeout 60 nbdcopy "$(uri $server)" $server.out; done
    same f.out a.out
    cmp -n 3000001 -i 1234567:0 a.out /dev/zero
    cmp -n 1234567 a.out base.raw
}

@test "a zero of more than 64 MiB is complete where nbdkit cannot zero" {
    /usr/bin/python3 -c '
with open("full.raw", "wb") as f:
    for i in range(160): f.write(b"\xee" * (1 << 20))'
    cp full.raw a.raw
    # The plugin answers every zero with EOPNOTSUPP, as a file system without holes does.
    nozero=(eval get_size='echo 160M' can_write='exit 0' can_zero='exit 0' can_flush='exit 0'
        pread='dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none'
        pwrite='dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none'
        zero='echo EOPNOTSUPP >&2; exit 1')
    path=$PWD/a.raw start a "${nozero[@]}"
    path=$PWD/full.raw fanout f "${nozero[@]}" fanout-dest="$(uri a)"
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.zero(150 << 20, 1 << 20)
h.shutdown()
' "$(uri f)"
    stop f
    cmp -n $((150 << 20)) -i $((1 << 20)):0 full.raw /dev/zero
    same full.raw a.raw
}

@test "a primary that takes one request at a time is read beside a client's requests, never during one" {
    random_file primary.raw 8M
    # The destination takes its last MiB when the client has had some requests answered.
    export image=$PWD/a.raw
    destination=(eval get_size='echo 8M' can_write='exit 0' can_flush='exit 0' flush='exit 0'
        pread='dd if=$image iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none'
        pwrite="$(held_from 7340032)"'
                dd of=$image oflag=seek_bytes seek=$4 conv=notrunc status=none')
    # Of two calls at a time the second finds the directory that the first has made.
    export path=$PWD/primary.raw busy=$PWD/busy overlapped=$PWD/overlapped
    begin='mkdir $busy || { touch $overlapped; exit 1; }; '
    for model in serialize_requests serialize_all_requests; do
        rm -f a.raw
        hold
        truncate -s 8M a.raw
        start a "${destination[@]}"
        fanout f eval thread_model="echo $model" get_size='echo 8M' can_write='exit 0' \
            pread="$begin"'dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none; rmdir $busy' \
            pwrite="$begin"'dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none; rmdir $busy' \
            fanout-state=. fanout-new=owed fanout-rate=16M fanout-dest="$(uri a)" fanout-name=a
        python '
import os
h = nbd.NBD(); h.connect_uri(sys.argv[1])
n = 0
while "a: has caught up" not in open("f.log").read():
    h.pwrite(bytes([n % 256]) * 65536, n % 16 * 65536)
    h.pread(65536, 4 << 20)
    n += 1
    if n == 3: pipe = os.open("hold", os.O_RDWR); os.unlink("hold"); os.close(pipe)
assert n >= 3, n' "$(uri f)"
        stop f
        [ ! -e overlapped ]
        same primary.raw a.raw
        rm a.json
        stop a
    done
}
