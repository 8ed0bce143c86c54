# SPDX-License-Identifier: BSD-3-Clause
#
# delta-digests=: what has changed is found by comparing the disk with the digests of the last run.
load ../../lib

prepare() { random_file disk.raw 6M; }

# source_with PARAMETERS...: a server of the disk.
source_with() {
    start src --filter="$DELTA" --filter=log file disk.raw logfile=requests \
        delta-digests=disk.digests delta-owed=copy.raw.state "$@"
}

# increment: copies what src shows to copy.raw.
increment() {
    truncate -s "$(stat -c %s disk.raw)" copy.raw
    nbdkit -U - --filter="$APPLY" file copy.raw apply-from="$(uri src)" apply-state=copy.raw.state apply-verify=off \
        --run 'nbdcopy --flush "'"$(uri src)"'" "$uri"'
    jq -e '.owed == []' copy.raw.state
    same disk.raw copy.raw
}

# change MIB [BYTES]: of the disk.
change() { dd if=/dev/urandom of=disk.raw bs=1 count="${2:-4}" seek=$(($1 * 1024 * 1024)) conv=notrunc status=none; }

map() {
    nbdinfo --map --json "$(uri src)" | jq -r '[.[] | "\(.offset) \(.length) \(.type)"] | join(", ")'
}

@test "a full copy, then increments of what differs" {
    source_with
    nbdinfo "$(uri src)" | grep '"mode":"full"'
    increment
    stop src

    change 1
    fallocate --punch-hole --offset 3M --length 64K disk.raw
    source_with
    [ "$(map)" = "0 1048576 3, 1048576 65536 0, 1114112 2031616 3, 3145728 65536 2, 3211264 3080192 3" ]
    nbdinfo "$(uri src)" | grep '"mode":"delta","since":"'"$(jq -r .checkpoint copy.raw.state)"'"'
    increment
    stop src

    source_with
    [ "$(map)" = "0 6291456 3" ]
    increment
}

@test "the digests are kept 0600, beside the file of the next run" {
    source_with
    map
    [ "$(stat -c %a disk.digests.next)" = 600 ]
    head -c 200 disk.digests.next | grep '"nbdkit-replicate-digests":1'
    [ "$(stat -c %s disk.digests.next)" = $((8192 + 96 * 16)) ]
    [ ! -e disk.digests ]
}

@test "a run that was cut off before the destination was changed, and one after it" {
    source_with
    increment
    stop src
    change 1
    source_with
    map
    stop src KILL
    change 2
    source_with
    # From the same checkpoint as before.
    [ "$(map)" = "0 1048576 3, 1048576 65536 0, 1114112 983040 3, 2097152 65536 0, 2162688 4128768 3" ]

    # apply has read the map and begun, and is killed.
    start dst --filter="$APPLY" file copy.raw apply-from="$(uri src)" apply-state=copy.raw.state apply-verify=off
    /usr/bin/python3 - "$(uri dst)" "$(cat dst.pid)" <<'PY'
import os, signal, sys
import nbd
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"x" * 65536, 1 << 20)
os.kill(int(sys.argv[2]), signal.SIGKILL)
PY
    stop dst KILL
    stop src KILL
    jq -e '.owed != []' copy.raw.state
    change 4
    source_with
    [ "$(map)" = "0 1048576 3, 1048576 65536 0, 1114112 983040 3, 2097152 65536 0, 2162688 2031616 3, 4194304 65536 0, 4259840 2031616 3" ]
    increment
}

@test "a source that cannot be read fails the map, and nothing is taken for unchanged" {
    source_with
    increment
    stop src
    start src --filter="$DELTA" --filter=error file disk.raw error-pread=EIO error-pread-rate=100% \
        error-pread-file="$PWD/broken" delta-digests=disk.digests delta-owed=copy.raw.state
    change 5
    touch broken
    must_fail nbdinfo --map "$(uri src)"
    rm broken
    [ "$(map)" = "0 5242880 3, 5242880 65536 0, 5308416 983040 3" ]
}

@test "a disk that has grown: what is new is in the delta" {
    source_with
    increment
    stop src
    random_file more 1M 5
    cat more >> disk.raw
    source_with
    [ "$(map)" = "0 6291456 3, 6291456 1048576 0" ]
    increment
}

@test "a disk of more than 4 GiB, most of it holes" {
    truncate -s 9G disk.raw
    printf changed | dd of=disk.raw bs=1 seek=$((8 << 30)) conv=notrunc status=none
    start src --filter="$DELTA" file disk.raw delta-digests=disk.digests delta-owed=copy.raw.state
    nbdinfo --map --totals "$(uri src)" > totals
    stop src
    [ "$(awk '$3 == 0 { print $1 }' totals)" -le $((7 << 20)) ]
    [ "$(awk '{ sum += $1 } END { printf "%.0f", sum }' totals)" = $((9 << 30)) ]
}

@test "what does not go together is refused" {
    common=(nbdkit -U - --filter="$DELTA" file disk.raw)
    refuses "needs delta-owed=" "${common[@]}" delta-digests=f --run true
    refuses "needs delta-owed=" "${common[@]}" delta-digests=f delta-owed=dir/ --run true
    refuses "exclude each other" "${common[@]}" delta-digests=f delta-owed=s delta-map=m --run true
    refuses "need delta-map=" "${common[@]}" delta-digests=f delta-owed=s delta-checkpoint=c --run true
}

@test "a second server with the same digests is refused" {
    source_with
    map
    start other --filter="$DELTA" file disk.raw delta-digests=disk.digests delta-owed=copy.raw.state
    must_fail nbdinfo "$(uri other)"
    grep 'another server is using this file' other.log
}

@test "rounds of random writes, with servers killed in their middle" {
    /usr/bin/python3 "$SOURCE/tests/modules/delta/digest_rounds.py" --rounds "${DIGEST_ROUNDS:-8}" \
        --delta "$DELTA" --apply "$APPLY"
}
