# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for tests of a whole replication: a simulated vCenter, the source server, the target server with a QCOW2
# image and two further destinations, and a client that copies. Test files one folder below begin with: load ../job
#
# VCENTER=python|vcsim selects the simulator (tests/vcenter).

load ../../lib

USER_NAME=administrator@vsphere.local
SIZE=$((48 * 1024 * 1024 + 1536))

# vcenter [ARGUMENTS...]: starts the simulator, which serves live.img. Unless that exists it is created, with data,
# holes, and zeroes that are written as data.
vcenter() {
    if [ ! -e live.img ]; then
        truncate -s "$SIZE" live.img
        random_file part 20M 7
        dd if=part of=live.img bs=64K conv=notrunc status=none
        dd if=part of=live.img bs=64K seek=500 skip=100 count=100 conv=notrunc status=none
        dd if=/dev/zero of=live.img bs=64K seek=610 count=10 conv=notrunc status=none
        printf 'the end' | dd of=live.img bs=1 seek=$((SIZE - 7)) conv=notrunc status=none
    fi
    printf s3cret > vc.pass
    local program=(/usr/bin/python3 "$SOURCE/tests/vcenter/vcenter.py")
    if [ "${VCENTER:-python}" = vcsim ]; then program=("$BUILD/tests/vcsim/vcsim"); fi
    "${program[@]}" --directory "$PWD" --ready vcenter.json --vm "${VM:-/DC0/vm/web1}=vm-42" \
        --disk 2000="$PWD/live.img" "$@" > vcenter.out 2>&1 3>&- &
    echo $! > vcenter.pid
    until_true 60 [ -s vcenter.json ] || { cat vcenter.out >&2; return 1; }
    local facts
    read -r facts < vcenter.json || [ -n "$facts" ]
    [[ $facts =~ \"host\":\ *\"([^\"]*)\" ]]
    SERVER=${BASH_REMATCH[1]}
    [[ $facts =~ \"cafile\":\ *\"([^\"]*)\" ]]
    CA=${BASH_REMATCH[1]}
}

# control CALL [CURL-OPTIONS...]: calls one of the simulator's test endpoints.
control() {
    local call=$1
    shift
    curl -sS --fail --max-time 60 --cacert "$CA" "$@" "https://$SERVER/_test/$call"
}

# snapshots: the number of snapshots that exist in the simulator.
snapshots() { control state | jq '[.vms[].snapshots | length] | add'; }

# PIECEWISE: parameters of vsphere and coalesce: one piece of 64 KiB is read at a time, and waited for.
PIECEWISE=(connections=1 coalesce-prefetch=off coalesce-chunk=64K timeout=600)

# hold_source [OFFSET]: what is read from the VM's disks in the MiB at that offset (bytes; by default 8 MiB) is not
# answered until release_source.
hold_source() { control "hold?offset=${1:-$((8 << 20))}&length=$((1 << 20))"; }
release_source() { control release; }

# guest_writes [SEED]: the guest writes data over data, over holes and across their borders, unaligned; zeroes as
# data; and the last bytes of the disk. It trims an area.
guest_writes() {
    random_file news 3M "${1:-11}"
    local offset
    for offset in 0 5000000 21000123 33554432 40000000; do
        head -c 300000 news > piece
        control "write?disk=2000&offset=$offset" --data-binary @piece
        tail -c +300001 news > rest
        mv rest news
    done
    for offset in 1000513 7340032 30000001; do
        head -c 513 news > piece
        control "write?disk=2000&offset=$offset" --data-binary @piece
        tail -c +514 news > rest
        mv rest news
    done
    control "write?disk=2000&offset=2097152&length=1048576&byte=0"
    control "write?disk=2000&offset=9000000&length=4096&byte=0"
    control "unmap?disk=2000&offset=12582912&length=2097152"
    control "write?disk=2000&offset=$((SIZE - 100))&length=100&byte=65"
}

# source_server [ARGUMENTS...]: starts vsphere with coalesce and delta.
source_server() {
    start source --filter="$DELTA" --filter="$COALESCE" "$VSPHERE" server="$SERVER" user=$USER_NAME \
        password=+vc.pass cafile="$CA" vm="${VM:-/DC0/vm/web1}" disk=2000 since=@web1.state \
        delta-owed=web1.state "$@"
}

# destinations: starts nbdkit with dr.raw and qemu-nbd with cloud.qcow2.
destinations() {
    truncate -s "$SIZE" dr.raw
    start dr file dr.raw
    qemu-img create -q -f qcow2 cloud.qcow2 "$SIZE"
    start_qemu cloud --shared=0 -f qcow2 cloud.qcow2
}

# target_server QCOW2 [PARAMETERS...]: starts qcow2 with fanout and apply.
target_server() {
    local file=$1
    shift
    start target --filter="$APPLY" --filter="$FANOUT" "$QCOW2" file="$file" "$@" \
        apply-from="$(uri source)" apply-state=web1.state \
        fanout-dest="$(uri dr)" fanout-name=dr fanout-concurrency=8 \
        fanout-dest="$(uri cloud)" fanout-name=cloud fanout-concurrency=2
}

# copy CLIENT [OPTIONS...]: copies from the source server to the target server.
copy() {
    local client=$1
    shift
    case "$client" in
        nbdcopy) timeout 120 nbdcopy --flush "$@" "$(uri source)" "$(uri target)" ;;
        qemu-img) timeout 120 qemu-img convert -n -f raw -O raw "$@" "$(uri source)" "$(uri target)" ;;
    esac
}

# replicate QCOW2 [PARAMETERS...] -- CLIENT [OPTIONS...]: one run, from the start of both servers to their end.
replicate() {
    local target=()
    while [ "$1" != -- ]; do
        target+=("$1")
        shift
    done
    shift
    local status=0
    source_server && target_server "${target[@]}" && copy "$@" || status=$?
    stop target
    stop source
    return $status
}

# all_equal QCOW2: the image and both destinations equal live.img; nothing is owed; no snapshot exists.
all_equal() {
    same live.img dr.raw
    qemu-img compare -f raw -F raw live.img "$(uri cloud)"
    qemu-img compare -f raw -F qcow2 live.img "$1"
    sound "$1"
    [ "$(jq '.owed | length' web1.state)" = 0 ]
    [ "$(snapshots)" = 0 ]
}

# whole_then_increment CLIENT [OPTIONS...]: a full copy, and an increment to an image over it.
whole_then_increment() {
    vcenter
    destinations
    replicate mon.qcow2 size="$SIZE" -- "$@"
    all_equal mon.qcow2
    cp live.img before.img

    guest_writes
    replicate tue.qcow2 backing=mon.qcow2 backing-format=qcow2 -- "$@"
    all_equal tue.qcow2
    qemu-img compare -f raw -F qcow2 before.img mon.qcow2
    stop cloud
    sound cloud.qcow2
}
