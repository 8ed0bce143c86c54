# SPDX-License-Identifier: BSD-3-Clause
#
# delta-map=: what has changed is told by a map from elsewhere.
load ../../lib

# old.raw and disk.raw differ in 64 KiB at 1 MiB, in 512 bytes at 3 MiB, and in 1 MiB at 5 MiB, which has become zero.
prepare() { cp --sparse=always "$BATS_FILE_TMPDIR"/{old,disk}.raw "$BATS_FILE_TMPDIR"/list .; }
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    random_file old.raw 8M
    cp old.raw disk.raw
    random_file change 64K 2
    dd if=change of=disk.raw bs=64K seek=16 conv=notrunc status=none
    dd if=change of=disk.raw bs=512 count=1 seek=6144 conv=notrunc status=none
    fallocate --punch-hole --offset 5M --length 1M disk.raw
    printf '%s\n' "# what has changed" "0x500000 0x100000 zero" "1048576 65536" "3145728 512" > list
}

# source PARAMETERS...: a server of the disk, with a checkpoint.
source_with() {
    start src --filter="$DELTA" file disk.raw delta-checkpoint=c2 "$@"
}

# map [EXPORT]: "offset length type" of each extent, on one line.
map() {
    nbdinfo --map --json "$(uri src "$1")" |
        jq -r '[.[] | "\(.offset) \(.length) \(.type)"] | join(", ")'
}
EXPECTED="0 1048576 3, 1048576 65536 0, 1114112 2031616 3, 3145728 512 0, 3146240 2096640 3, 5242880 1048576 2, 6291456 2097152 3"

# increment FILE [VERIFY]: copies what src shows to FILE, by its state FILE.state.
increment() {
    nbdkit -U - --filter="$APPLY" file "$1" apply-from="$(uri src)" apply-state="$1.state" apply-verify="${2:-100}" \
        --run 'nbdcopy --flush "'"$(uri src)"'" "$uri"'
    jq -e '.owed == []' "$1.state"
}

# holding CHECKPOINT FILE: the state FILE.state says that FILE holds it.
holding() {
    echo '{"nbdkit-replicate":1,"checkpoint":"'"$1"'","source":"delta","vm":"web1","disk":0,"size":8388608,"owed":[]}' > "$2.state"
}

@test "a list of offsets and lengths" {
    source_with delta-map=list delta-since=c1
    [ "$(map)" = "$EXPECTED" ]
    [ "$(map honest)" = "0 1048576 1, 1048576 65536 0, 1114112 2031616 1, 3145728 512 0, 3146240 2096640 1, 5242880 1048576 3, 6291456 2097152 1" ]
}

@test "the map that nbdinfo printed of a server with changes" {
    source_with delta-map=list delta-since=c1
    nbdinfo --map --json "$(uri src honest)" > map.json
    stop src
    source_with delta-map=map.json delta-since=c1
    [ "$(map)" = "$EXPECTED" ]
}

@test "the dirty bitmap of a QEMU guest, from its server and from a file" {
    qemu-img create -q -f qcow2 guest.qcow2 8M
    qemu-img bitmap --add -g 65536 guest.qcow2 c1
    qemu-io -c "write 1M 64k" -c "write 3M 512" -c "write -z 5M 1M" guest.qcow2 > /dev/null
    start_qemu guest --read-only --shared=0 --bitmap=c1 guest.qcow2
    source_with delta-map="$(uri guest)" delta-map-context=qemu:dirty-bitmap:c1
    # The bitmap's granularity is 64 KiB.
    [ "$(map)" = "${EXPECTED/3145728 512 0, 3146240 2096640 3/3145728 65536 0, 3211264 2031616 3}" ]
    nbdinfo "$(uri src)" | grep '"since":"c1","checkpoint":"c2"'
    before=$(map)
    stop src

    nbdinfo --map=qemu:dirty-bitmap:c1 --json "$(uri guest)" > map.json
    source_with delta-map=map.json delta-since=c1
    [ "$(map)" = "$before" ]
}

@test "the allocation of a QCOW2 overlay" {
    qemu-img create -q -f qcow2 -b old.raw -F raw overlay.qcow2
    qemu-io -c "write 1M 64k" -c "write 3M 64k" -c "write -z 5M 512k" -c "write -z -u 5632k 512k" \
        overlay.qcow2 > /dev/null
    start_qemu overlay --read-only --shared=0 --allocation-depth \
        --image-opts driver=qcow2,file.driver=file,file.filename=overlay.qcow2,backing=
    source_with delta-map="$(uri overlay)" delta-since=c1
    [ "$(map)" = "${EXPECTED/3145728 512 0, 3146240 2096640 3/3145728 65536 0, 3211264 2031616 3}" ]

    # There all that the overlay does not have is zero.
    refuses "what has become zero cannot be told from what has not changed: use qemu:allocation-depth" \
        nbdkit -U - --filter="$DELTA" file disk.raw delta-checkpoint=c2 delta-since=c1 delta-map="$(uri overlay)" \
        delta-map-context=base:allocation --run true
    nbdinfo --map --json "$(uri overlay)" > map.json
    refuses "what has become zero" \
        nbdkit -U - --filter="$DELTA" file disk.raw delta-checkpoint=c2 delta-since=c1 delta-map=map.json --run true
}

@test "increments by a list: the first run is a full copy, the next ones copy what has changed" {
    truncate -s 8M copy.raw
    start src --filter="$DELTA" file old.raw delta-map=list delta-since=c0 delta-checkpoint=c1 \
        delta-disk=web1 delta-owed=copy.raw.state
    nbdinfo "$(uri src)" | grep '"vm":"web1","disk":0,"size":8388608,"mode":"full","checkpoint":"c1"'
    increment copy.raw
    same old.raw copy.raw
    stop src

    start src --filter="$DELTA" --filter=log file disk.raw logfile=requests delta-map=list delta-since=c1 \
        delta-checkpoint=c2 delta-disk=web1 delta-owed=copy.raw.state
    increment copy.raw off
    same disk.raw copy.raw
    [ "$(jq -r .checkpoint copy.raw.state)" = c2 ]
    # Nothing was read where nothing has changed, but whole blocks around a change.
    must_fail grep -E ' Read .* offset=(0x700000|0x0) ' requests
    stop src

    # The same again, with the map of the run that is over: complete, for nothing is owed.
    start src --filter="$DELTA" file disk.raw delta-map=list delta-since=c1 delta-checkpoint=c2 \
        delta-disk=web1 delta-owed=copy.raw.state
    increment copy.raw
    same disk.raw copy.raw
}

@test "a state of another checkpoint: the whole disk, or refused with delta-on-reset=fail" {
    random_file copy.raw 8M 9
    holding c0 copy.raw
    source_with delta-map=list delta-since=c1 delta-owed=copy.raw.state delta-disk=web1
    nbdinfo "$(uri src)" | grep '"mode":"full"'
    grep 'warning: .*the whole disk is shown' src.log
    increment copy.raw
    same disk.raw copy.raw
    stop src

    holding c0 copy.raw
    source_with delta-map=list delta-since=c1 delta-owed=copy.raw.state delta-on-reset=fail
    must_fail nbdinfo "$(uri src)"
    grep 'the destination holds "c0"' src.log
}

@test "the state of another disk is refused" {
    holding c1 copy.raw
    source_with delta-map=list delta-since=c1 delta-disk=web2 delta-owed=copy.raw.state
    must_fail nbdinfo "$(uri src)"
    grep 'that state is of delta web1' src.log
}

@test "a map of a disk of another size is refused" {
    echo "8388608 512" >> list
    source_with delta-map=list delta-since=c1
    must_fail nbdinfo "$(uri src)"
    grep 'changes up to offset 8389120, and this disk has 8388608 bytes' src.log
    stop src
    echo '[{"offset":0,"length":9437184,"type":1,"description":"dirty"}]' > map.json
    source_with delta-map=map.json delta-since=c1
    must_fail nbdinfo "$(uri src)"
    grep 'of a disk of 9437184 bytes' src.log
}

@test "what cannot tell the changes is refused at the start" {
    start other memory 8M
    common=(nbdkit -U - --filter="$DELTA" file disk.raw)
    refuses "does not offer the metadata context qemu:dirty-bitmap:x" \
        "${common[@]}" delta-checkpoint=c2 delta-map="$(uri other)" delta-map-context=qemu:dirty-bitmap:x --run true
    refuses "does not offer the metadata context qemu:allocation-depth" \
        "${common[@]}" delta-checkpoint=c2 delta-since=c1 delta-map="$(uri other)" --run true
    refuses "cannot connect" \
        "${common[@]}" delta-checkpoint=c2 delta-since=c1 delta-map='nbd+unix:///?socket=none' --run true
    refuses "none.json" "${common[@]}" delta-checkpoint=c2 delta-since=c1 delta-map=none.json --run true
    source_with delta-map=list delta-since=c1
    refuses "tells what has changed itself" \
        "${common[@]}" delta-checkpoint=c2 delta-since=c1 delta-map="$(uri src)" --run true
}

@test "parameters that do not go together are refused" {
    common=(nbdkit -U - --filter="$DELTA" memory 1M)
    refuses "needs delta-since=" "${common[@]}" delta-map=list delta-checkpoint=c2 --run true
    refuses "needs delta-checkpoint=" "${common[@]}" delta-map=list delta-since=c1 --run true
    refuses "a name of its own" "${common[@]}" delta-map=list delta-since=c1 delta-checkpoint=c1 --run true
    refuses "need delta-map=" "${common[@]}" delta-since=c1 --run true
    refuses "must not be empty" "${common[@]}" delta-since= --run true
}

@test "a directory of states: disk 0 is the one that the map is of" {
    mkdir states
    holding c1 states/0
    source_with delta-map=list delta-since=c1 delta-disk=web1 delta-owed=states
    nbdinfo "$(uri src)" | grep '"mode":"delta","since":"c1"'
    [ "$(map)" = "$EXPECTED" ]
}

@test "one disk has a map: another export than the first one is refused" {
    source_with delta-map=list delta-since=c1
    map
    map honest
    must_fail nbdinfo "$(uri src other)"
    grep 'export "other": delta-map= and delta-digests= are of one disk' src.log
}
