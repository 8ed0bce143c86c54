# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

# A disk of 8 MiB and its honest extents: 1 MiB has changed, 1 MiB has become zero, 1 MiB has become a
# hole; the rest has not changed.
prepare() { cp --sparse=never "$BATS_FILE_TMPDIR"/{disk.raw,honest} .; }
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    random_file disk.raw 8M
    dd if=/dev/zero of=disk.raw bs=1M seek=3 count=2 conv=notrunc status=none
    printf '%s\n' "0 2M hole" "2M 1M" "3M 1M zero" "4M 1M hole,zero" "5M 3M hole" > honest
}

# view PARAMETERS...: a server of that disk.
view() {
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$DESCRIPTION" "$@"
}
DESCRIPTION='{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":8388608,"mode":"delta","since":"c1","checkpoint":"c2"}'

# state CHECKPOINT OWED [VM]: web1.state.
state() {
    echo '{"nbdkit-replicate":1,"checkpoint":"'"$1"'","source":"test","vm":"'"${3:-vm-1}"'","disk":2000,"size":8388608,"owed":'"$2"'}' > web1.state
}

# map [EXPORT]: "offset length type" of each extent, on one line.
map() {
    nbdinfo --map --json "$(uri src "$1")" |
        jq -r '[.[] | "\(.offset) \(.length) \(.type)"] | join(", ")'
}

@test "unchanged is hole and zero, what has become zero is zero, data is data" {
    view
    [ "$(map)" = "0 2097152 3, 2097152 1048576 0, 3145728 2097152 2, 5242880 3145728 3" ]
}

@test "the export honest shows the honest extents" {
    view
    [ "$(map honest)" = "0 2097152 1, 2097152 1048576 0, 3145728 1048576 2, 4194304 1048576 3, 5242880 3145728 1" ]
}

@test "reads return the disk's bytes everywhere" {
    view
    nbdcopy --no-extents "$(uri src)" copy.raw
    same disk.raw copy.raw
    nbdcopy --no-extents "$(uri src honest)" copy2.raw
    same disk.raw copy2.raw
}

@test "delta-zeroes=data shows what has become zero as data" {
    view delta-zeroes=data
    [ "$(map)" = "0 2097152 3, 2097152 3145728 0, 5242880 3145728 3" ]
}

@test "delta-owed shows what an unfinished run owes" {
    state c1 "[[1048576,4096],[4194304,65536],[8384512,4096]]"
    view delta-owed=web1.state
    [ "$(map)" = "0 1048576 3, 1048576 4096 0, 1052672 1044480 3, 2097152 1048576 0, 3145728 2097152 2, 5242880 3141632 3, 8384512 4096 0" ]
}

@test "delta-owed of a file that does not exist owes nothing" {
    view delta-owed=none.state
    [ "$(map)" = "0 2097152 3, 2097152 1048576 0, 3145728 2097152 2, 5242880 3145728 3" ]
}

# two_disks PARAMETERS...: two exports, of which half has changed.
two_disks() {
    start src --filter="$DELTA" eval list_exports='echo NAMES; echo 2000; echo 2001' open='echo "$3"' \
        export_description="echo '$DESCRIPTION' | sed s/2000/\$2/" get_size='echo 8M' \
        pread='head -c "$3" /dev/zero' can_extents='exit 0' \
        extents='echo 0 4M; echo 4M 4M hole' "$@"
}

@test "delta-owed of a directory: a state for each disk" {
    mkdir states
    two_disks delta-owed=states
    [ "$(map 2000)" = "0 4194304 0, 4194304 4194304 3" ]
    stop src
    state c1 "[[5242880,65536]]"
    mv web1.state states/2000.state
    echo nonsense > states/2000.state.tmp
    two_disks delta-owed=states/
    [ "$(map 2000)" = "0 4194304 0, 4194304 1048576 3, 5242880 65536 0, 5308416 3080192 3" ]
    [ "$(map 2001)" = "0 4194304 0, 4194304 4194304 3" ]
    stop src
    # The state of another machine: clients of that disk are refused, the other disk is served.
    sed 's/2000/2001/; s/vm-1/vm-2/' states/2000.state > states/2001.state
    two_disks delta-owed=states
    must_fail timeout 60 nbdinfo --size "$(uri src 2001)"
    grep -q 'error: .*delta-owed=.*states/2001.state: .*vm-2.*remove it to start' src.log
    [ "$(map 2000)" = "0 4194304 0, 4194304 1048576 3, 5242880 65536 0, 5308416 3080192 3" ]
    stop src
    cp states/2000.state states/2001.state
    refuses "2001.state is the state of disk 2000" \
        timeout 60 nbdkit -U - --filter="$DELTA" null delta-owed=states --run true
}

@test "the whole disk of a source that knows no changes is in the delta" {
    truncate -s 8M sparse.raw
    dd if=disk.raw of=sparse.raw bs=1M count=1 conv=notrunc status=none
    start src --filter="$DELTA" file sparse.raw
    [ "$(map)" = "0 1048576 0, 1048576 7340032 2" ]
}

@test "the whole disk of a source without extents is in the delta" {
    start src --filter="$DELTA" --filter=noextents file disk.raw
    [ "$(map)" = "0 8388608 0" ]
}

# qemu-img takes the type of a sector's first byte for all of it.
@test "the view changes only where a sector begins" {
    printf '%s\n' "0 1000 hole" "1000 1" "1001 1000 hole" "2001 3000 zero" "5001 8383607 hole" > honest
    view
    [ "$(map)" = "0 512 3, 512 512 0, 1024 512 3, 1536 512 0, 2048 2560 2, 4608 512 0, 5120 8383488 3" ]
    [ "$(map honest)" = "0 512 1, 512 512 0, 1024 512 1, 1536 512 0, 2048 2560 2, 4608 512 0, 5120 8383488 1" ]
    cp disk.raw odd.raw
    truncate -s 8388000 odd.raw
    printf '%s\n' "0 8387998 hole" "8387998 2" > honest
    stop src
    start src --filter="$DELTA" --filter=extentlist file odd.raw extentlist=honest
    [ "$(map)" = "0 8387584 3, 8387584 416 0" ]
}

@test "any part of the map can be asked for" {
    printf '%s\n' "0 1000 hole" "1000 1" "1001 8387607 hole" > honest
    view
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
def types(count, offset):
    found = []
    def extent(context, offset, entries, error):
        found.extend(entries)
        return 0
    h.block_status(count, offset, extent)
    return found
assert types(1, 999) == [1, 0], types(1, 999)
assert types(1, 511) == [1, 3]
assert types(2, 511) == [1, 3, 1, 0]
assert types(1, 8388607) == [1, 3]
assert types(1, 1024) == [1, 3]
PY
}

@test "both names of each export are listed" {
    mkdir disks
    cp disk.raw disks/2000
    start src --filter="$DELTA" file dir=disks
    nbdinfo --list --json "$(uri src)" | jq -r '.exports[]."export-name"' | sort > names
    [ "$(tr '\n' ' ' < names)" = "2000 honest/2000 " ]
}

@test "a state of another disk is refused" {
    state c1 "[]" vm-2
    view delta-owed=web1.state
    must_fail timeout 60 nbdinfo --size "$(uri src)"
    grep -q 'error: .*delta-owed=.*vm-2.*remove it to start' src.log
    timeout 60 nbdinfo --size "$(uri src honest)"
}

@test "a state with another checkpoint is refused" {
    state c9 "[]"
    view delta-owed=web1.state
    must_fail timeout 60 nbdinfo --size "$(uri src)"
    grep -q 'error: .*since.*"c1".*holds "c9"' src.log
}

@test "invalid parameters are refused" {
    refuses "delta-zeroes=none: must be zero or data" \
        timeout 60 nbdkit -U - --filter="$DELTA" null delta-zeroes=none --run true
    echo '{' > web1.state
    refuses "web1.state is not a usable state file" \
        timeout 60 nbdkit -U - --filter="$DELTA" null delta-owed=web1.state --run true
    refuses "delta-nonsense" \
        timeout 60 nbdkit -U - --filter="$DELTA" memory 1M delta-nonsense=1 --run true
}

# The two commands of nbdkit-delta-filter(1), "Without the apply filter".
@test "without apply: nbdcopy -S 0 --destination-is-zero with delta-zeroes=data" {
    random_file base.raw 8M
    view delta-zeroes=data
    /usr/bin/python3 -c '
disk = open("disk.raw", "rb").read()
base = bytearray(disk)
base[2 << 20:5 << 20] = b"o" * (3 << 20)
open("dst.raw", "wb").write(base)'
    must_fail cmp -s disk.raw dst.raw
    start dst file dst.raw
    timeout 60 nbdcopy -S 0 --destination-is-zero --flush "$(uri src)" "$(uri dst)"
    same disk.raw dst.raw
}

@test "without apply: qemu-img convert -B of the honest export" {
    view
    /usr/bin/python3 -c '
disk = open("disk.raw", "rb").read()
base = bytearray(disk)
base[2 << 20:5 << 20] = b"o" * (3 << 20)
open("base.raw", "wb").write(base)'
    timeout 60 qemu-img convert -f raw -O qcow2 -B "$PWD/base.raw" -F raw "$(uri src honest)" overlay.qcow2
    sound overlay.qcow2
    timeout 60 qemu-img convert -O raw overlay.qcow2 copy.raw
    same disk.raw copy.raw
    [ "$(qemu-img map --output=json overlay.qcow2 | jq '[.[] | select(.depth == 0) | .length] | add')" = 3145728 ]
}

# One answer for the whole request, however few extents the layer below tells at a time. An answer that has taken a
# second is sent as it is, so on a busy machine there is one more for each second.
@test "100 000 areas: each request of the client has one answer" {
    truncate -s 12500M big.raw
    awk 'BEGIN { for (i = 0; i < 100000; i++) printf "%.0f 65536\n%.0f 65536 hole\n", i * 131072, i * 131072 + 65536 }' > honest
    start src --filter="$DELTA" --filter=extentlist file big.raw extentlist=honest
    cat > ask.py <<'PY'
import nbd, sys, time
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
size, at, asked, found = h.get_size(), 0, 0, []
most = -(-size // int(sys.argv[2]))
begin = time.monotonic()
def extent(context, offset, entries, error):
    global at
    found.extend(entries[1::2])
    at = offset + sum(entries[0::2])
    return 0
while at < size:
    h.block_status(min(int(sys.argv[2]), size - at), at, extent)
    asked += 1
seconds = int(time.monotonic() - begin)
assert most <= asked <= most + seconds, (most, asked, seconds)
if asked == most:
    assert len(found) == int(sys.argv[4]), len(found)
    assert found == [0, int(sys.argv[3])] * (len(found) // 2)
print("answers:", asked, "of", most)
PY
    /usr/bin/python3 ask.py "$(uri src)" $((1 << 30)) 3 200000
    /usr/bin/python3 ask.py "$(uri src honest)" $((1 << 30)) 1 200000
    stop src
    # A plugin that tells one extent at a time.
    cat > one.sh <<'SH'
case "$1" in
    get_size) echo 64M ;;
    can_extents) ;;
    pread) head -c "$3" /dev/zero ;;
    extents) n=$(( $4 / 1048576 )); echo "$(( n * 1048576 )) 1M $(( n % 2 ))" ;;
    *) exit 2 ;;
esac
SH
    chmod +x one.sh
    start src --filter="$DELTA" sh one.sh
    /usr/bin/python3 ask.py "$(uri src)" $((32 << 20)) 3 64
    /usr/bin/python3 ask.py "$(uri src honest)" $((32 << 20)) 1 64
}

@test "one extent is told when only one is asked for" {
    view
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
found = []
h.block_status(8 << 20, 0, lambda c, o, entries, e: found.extend(entries) or 0, nbd.CMD_FLAG_REQ_ONE)
assert found == [2 << 20, 3], found
PY
}

@test "nothing can be written to a source" {
    view
    cp disk.raw before.raw
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
assert h.is_read_only()
assert h.can_multi_conn()
PY
    must_fail timeout 60 nbdcopy before.raw "$(uri src)"
    same before.raw disk.raw
}

@test "multi-conn and block sizes are those of the layer below" {
    start src --filter="$DELTA" --filter=blocksize-policy --filter=multi-conn file disk.raw \
        multi-conn-mode=disable blocksize-minimum=4096 blocksize-preferred=65536 blocksize-maximum=1M
    for export in "" honest; do
        nbdinfo --json "$(uri src $export)" | jq -c '.exports[0] | [.can_multi_conn, .block_size_minimum, .block_size_preferred, .block_size_maximum]' > told
        [ "$(cat told)" = "[false,4096,65536,1048576]" ]
    done
}
