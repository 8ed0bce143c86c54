# SPDX-License-Identifier: BSD-3-Clause
#
# transport=vddk: what is read, with the stand-in for VMware's library.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load one-disk
load vddk

@test "VDDK's data, map and access; the password is in no log, argument or environment" {
    vc
    standin
    serve "${VDDK[@]}"
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(map "$(uri src)")" = "0 4194304 0
4194304 6291456 3
10485760 6291456 0" ]
    local pid
    pid=$(helper)
    tr '\0' '\n' < "/proc/$pid/environ" > environment.log
    tr '\0' '\n' < "/proc/$pid/cmdline" > arguments.log
    grep -q "^LD_LIBRARY_PATH=$PWD/sdk/lib64" environment.log
    [ "$(cat arguments.log)" = "$BUILD/plugins/vsphere/transport/vddk/helper/nbdkit-vsphere-vddk" ]
    [ "$(ls standin/access)" = "nbdkit-replicate on $(hostname) vm-42 2000" ]
    grep -q 'VDDK: connecting as administrator@vsphere.local with \*\*\*\*\*\*\*\*' src.log
    grep -q 'transport vddk 8.0.9 (nbdssl), 16 requests at once' src.log
    grep -q "snapshot=$(of "v['snapshots'][0]['moref']") transports=nbdssl:nbd" standin/log
    checkpoint "$(uri src)" > id
    stop src
    clean
    orderly
    # Nothing was read over HTTPS; the snapshot was there until the disk was closed.
    [ "$(of "s['folder'].get('requests', 0)")" = 0 ]
    [ "$(calls PrepareForAccess)" = 2 ]

    # What has changed comes from vSphere, what is allocated of that from VDDK.
    control vc 'write?disk=2000&offset=65536&length=65536&byte=0x41'
    control vc 'write?disk=2000&offset=4259840&length=65536&byte=0'
    printf 'A%.0s' $(seq 65536) | dd of=standin/disk bs=65536 seek=1 conv=notrunc status=none
    serve "${VDDK[@]}" since="$(cat id)"
    [ "$(map "$(uri src)")" = "0 65536 1
65536 65536 0
131072 4128768 1
4259840 65536 3
4325376 12451840 1" ]
    rm out.img
    nbdcopy "$(uri src)" out.img
    same standin/disk out.img
    stop src
    orderly
}

@test "a disk that does not end at a chunk, reads that do not begin at a sector" {
    random_file one.img 8M 3
    random_file tail.img 5K 4
    cat tail.img >> one.img
    fallocate -p -o 1M -l 2M one.img
    vc
    standin
    serve "${VDDK[@]}"
    [ "$(map "$(uri src)")" = "0 1048576 0
1048576 2097152 3
3145728 5248000 0" ]
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
data = open("one.img", "rb").read()
assert h.get_size() == len(data)
for offset, length in ((0, 1), (511, 2), (2**20 * 5 + 1, 3 * 2**20), (len(data) - 7, 7), (100, 2**20 * 7)):
    assert h.pread(length, offset) == data[offset:offset + length], (offset, length)
PY
    stop src
    orderly
}

@test "each disk has a helper of its own, started when it is read" {
    random_file two.img 4M 7
    start_vcenter vc --vm /Europe/DC0/vm/web/web1=vm-42 --disk 2000=one.img --disk 2001=two.img \
        --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            cafile="$(vcenter_fact vc cafile)" vm=moref=vm-42)
    standin
    sed -i '/^path=/d' standin/expect
    mkdir standin/disks
    local key
    for key in 2000 2001; do
        cp --sparse=always "$(of "v['disks']['$key']['file']")" \
            "standin/disks/$(basename "$(of "v['disks']['$key']['vmdk']")")"
    done
    serve "${VDDK[@]}"
    # Both have been tried at the start, and closed again.
    [ "$(calls InitEx)" = 2 ]
    [ "$(calls EndAccess)" = 4 ]
    nbdcopy "$(uri src 2001)" two.out
    same two.img two.out
    [ "$(ls standin/access)" = "nbdkit-replicate on $(hostname) vm-42 2001" ]
    nbdcopy "$(uri src 2000)" one.out
    same one.img one.out
    [ "$(ls standin/access | wc -l)" = 2 ]
    [ "$(calls InitEx)" = 4 ]
    stop src
    orderly
    clean
}

@test "as a daemon, with less than 96 MiB of memory" {
    vc
    standin
    nbdkit -U "$PWD/src.sock" -P src.pid "$VSPHERE" "${SERVER[@]}" "${VDDK[@]}" 3>&-
    [ "$(calls InitEx)" = 1 ]
    [ -z "$(ls standin/access)" ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(awk '/^VmHWM/ {print $2}' "/proc/$(cat src.pid)/status")" -lt $((96 * 1024)) ]
    stop src
    clean
    orderly
}

@test "a machine with a foreign snapshot is read, and the snapshot stays" {
    vc
    soap_login vc
    soap_snapshot vc vm-42
    standin
    expect path "[datastore1] $(of "v['disks']['2000']['vmdk']")"
    serve "${VDDK[@]}"
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    [ "$(of "len(v['snapshots'])")" = 1 ]
    orderly
}
