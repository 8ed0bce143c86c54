# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate restore: where to, what is refused, and what an interrupted one leaves.
load ../job
load replicate
load points

two_nights() {
    one_disk
    nights 1 2
}

restore() { "$COMMAND" restore plan.toml --build "$BUILD" "$@"; }

@test "to an NBD server: what was there before is gone, and its first MiB is written last" {
    two_nights
    random_file dr.raw 5M 8
    tail -c 1M dr.raw > beyond
    start dr file dr.raw
    run restore --to "$(uri dr)"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"is larger than the disk"* ]]
    stop dr
    cmp -n $((4 << 20)) dr.raw 2.ref
    tail -c 1M dr.raw | cmp - beyond
}

@test "an NBD server that fails in the middle does not look as if it were whole" {
    two_nights
    random_file dr.raw 4M 8
    start dr eval get_size="stat -c %s $PWD/dr.raw" can_write='exit 0' can_flush='exit 0' can_zero='exit 3' flush='exit 0' \
        pread="dd if=$PWD/dr.raw bs=64K skip=\$4 count=\$3 iflag=skip_bytes,count_bytes status=none" \
        pwrite="if [ \$4 -ge 3000000 ]; then echo EIO broken >&2; exit 1; fi
                dd of=$PWD/dr.raw bs=64K seek=\$4 oflag=seek_bytes conv=notrunc status=none"
    refuses "has not been written" restore --to "$(uri dr)"
    [[ "$output" == *"write at offset "*" failed"* ]]
    [ "$(head -c 1M dr.raw | tr -d '\0' | wc -c)" = 0 ]
    must_fail cmp -n $((4 << 20)) -i $((1 << 20)) dr.raw 2.ref
}

@test "to an NBD server that is too small, read-only, or not there" {
    two_nights
    truncate -s 3M small
    start small file small
    refuses "is too small: it has 3145728 bytes, and the disk has 4194304" restore --to "$(uri small)"
    truncate -s 4M fixed
    start fixed -r file fixed
    refuses "can only be read" restore --to "$(uri fixed)"
    refuses "nothing" restore --to "$(uri nothing)"
    [[ "$output" == *"No such file"* ]]
    refuses "libnbd would accept any server" restore --to nbds://localhost/
}

@test "to a file: it has its name when it is whole, and an existing one is kept" {
    two_nights
    echo precious > out.raw
    refuses "exists already: --overwrite replaces it" restore --to out.raw
    [ "$(cat out.raw)" = precious ]
    run restore --to out.raw --overwrite --dry-run
    [ "$status" = 0 ]
    [ "$(cat out.raw)" = precious ]
    restore --to out.raw --overwrite
    same 2.ref out.raw
    [ ! -e out.raw.partial ]
    # What a killed restore has left is replaced.
    random_file new.raw.partial 9M 3
    restore --to new.raw
    same 2.ref new.raw
    refuses "is not a directory" restore --to nowhere/new.raw
    [ "$(stat -c %a new.raw)" = 600 ]
}

@test "killed in the middle: nothing looks whole, and the same command again restores it" {
    two_nights
    mkdir bin
    # nbdcopy stops itself after it has begun.
    cat > bin/nbdcopy <<'SH'
#!/bin/sh
for last; do :; done
/usr/bin/nbdcopy "$@"
truncate -s 1M "$last"
touch begun
exec tail -f /dev/null
SH
    chmod +x bin/nbdcopy
    PATH=$PWD/bin:$PATH "$COMMAND" restore plan.toml --build "$BUILD" --to out.raw > run.log 2>&1 3>&- &
    run=$!
    echo $run > run.pid
    until_true 60 [ -e begun ]
    mapfile -t servers < <(children_of "$run")
    kill -KILL "$run"
    until_true 60 all_gone "$run" "${servers[@]}"
    rm run.pid
    [ ! -e out.raw ]
    [ -e out.raw.partial ]
    restore --to out.raw
    same 2.ref out.raw
    [ ! -e out.raw.partial ]
    # By a signal it ends in order, and leaves nothing.
    rm begun
    PATH=$PWD/bin:$PATH "$COMMAND" restore plan.toml --build "$BUILD" --to other.raw > run.log 2>&1 3>&- &
    run=$!
    echo $run > run.pid
    until_true 60 [ -e begun ]
    kill -TERM "$run"
    local status=0
    wait "$run" || status=$?
    rm run.pid
    cat run.log
    [ "$status" = 1 ]
    grep -q "interrupted by SIGTERM" run.log
    [ ! -e other.raw ]
    [ ! -e other.raw.partial ]
}

@test "a file that is in use is refused" {
    two_nights
    qemu-img create -q -f qcow2 vm.qcow2 4M
    start_qemu vm -f qcow2 vm.qcow2
    refuses "is in use" restore --to vm.qcow2 --overwrite
    stop vm
    restore --to vm.qcow2 --overwrite
    qemu-img compare -f qcow2 -F raw vm.qcow2 2.ref
    # An image that a run has not completed, too.
    mv "$(image_of 2)" "$(image_of 3).partial"
    printf '\1' | dd of="$(image_of 3).partial" bs=1 seek="$(mark_of "$(image_of 3).partial")" conv=notrunc status=none
    refuses "a run has not completed" restore --at "$(time_of 1)" --to "$(image_of 3)"
}
# mark_of IMAGE: where its header says whether it is complete.
mark_of() { echo $(($(grep -obUaP 'NBRI' "$1" | head -1 | cut -d: -f1) + 8 + 32)); }

@test "to a block device, unless it is mounted or otherwise in use" {
    two_nights
    random_file back 4M 9
    device=$(losetup --find --show back 2> /dev/null) || skip "needs a loop device"
    echo "$device" > device
    restore --to "$device"
    cmp -n $((4 << 20)) "$device" 2.ref
    exec 8<> "$device"
    # It holds the device until the test ends it. That of the restore may be about to close it.
    /usr/bin/python3 -c '
import os, signal, sys, time
while True:
    try:
        device = os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
        break
    except OSError:
        time.sleep(0.01)
open("held", "w").close()
signal.pause()' "$device" 3>&- 8>&- &
    echo $! > holder.pid
    until_true 60 [ -e held ]
    refuses "is in use" restore --to "$device"
    stop holder
    exec 8>&-
    # Nor is the file behind it written to.
    refuses "is attached to $device" restore --to back --overwrite
    losetup -d "$device"
    rm device
}
