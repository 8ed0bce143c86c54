# SPDX-License-Identifier: BSD-3-Clause
#
# The state file cannot be saved: its file system is full, or read-only.
load ../../lib
load apply

# Like the teardown of all tests, which mount something.
teardown() {
    local pid_file
    for pid_file in "$BATS_TEST_TMPDIR"/*.pid; do
        if [ -e "$pid_file" ]; then stop "$(basename "$pid_file" .pid)"; fi
    done
    while mountpoint -q "$BATS_TEST_TMPDIR/small"; do umount -l "$BATS_TEST_TMPDIR/small"; done
}

# A file system of 64 KiB for the state.
small() {
    mkdir small
    mount -t tmpfs -o size=64K none small 2> /dev/null || skip "cannot mount a tmpfs"
    source_server
    cp --sparse=never base.raw dst.raw
    small_server
}
small_server() {
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/small/web1.state" "$@"
}
fill() { must_fail dd if=/dev/zero of=small/fill bs=4K status=none 2> /dev/null; }
complete() { jq -e '.checkpoint == "c2" and .owed == []' small/web1.state > /dev/null 2>&1; }

@test "a full file system of the state: no message is untrue, and the same command finishes" {
    small
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "left before"
    cp small/web1.state before.state
    fill
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"  # all it does succeeds
    until_true 20 said dst "error: .*small/web1.state.*No space left on device.*apply-state=.*cannot be saved: what was copied since it was last saved may count as not copied; run the same command again"
    stop dst
    same before.state small/web1.state
    [ "$(ls -A small | tr '\n' ' ')" = "fill web1.state web1.state.lock " ]
    [ "$(grep -c 'bytes are still owed' dst.log)" = 1 ]  # of the first client
    rm small/fill
    small_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 complete
    stop dst
    same disk.raw dst.raw
}

@test "nothing is written before a state can be saved: ENOSPC, EROFS" {
    small
    fill
    python '
import errno
def fails(number):
    try:
        h.pwrite(disk[512 * K:768 * K], 512 * K)
    except nbd.Error as e:
        return e.errnum == number
assert fails(errno.ENOSPC)
import os, subprocess
os.unlink("small/fill")
subprocess.run("mount --bind small small && mount -o remount,bind,ro small", shell=True, check=True)
assert fails(errno.EPERM)  # NBD has no EROFS
'
    same base.raw dst.raw
    stop dst
    [ ! -e small/web1.state ]
    said dst "error: .*small/web1.state.*No space left on device"
    said dst "error: .*small/web1.state.*Read-only file system"
    # At the start it is told when it can still be helped.
    refused "apply-state=$PWD/small/web1.state: cannot write to the directory $PWD/small: Read-only file system" \
        apply-from="$(uri src)" apply-state="$PWD/small/web1.state"
    umount small
    small_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 complete
    stop dst
    same disk.raw dst.raw
}

@test "a flush fails while the state says that a block is there that is not" {
    mkdir small
    mount -t tmpfs -o size=64K none small 2> /dev/null || skip "cannot mount a tmpfs"
    source_server
    cp --sparse=never base.raw dst.raw
    start dst --filter="$APPLY" --filter=error file dst.raw error-pwrite=EIO error-pwrite-rate=100% \
        error-pwrite-file="$PWD/broken" apply-from="$(uri src)" apply-state="$PWD/small/web1.state"
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
    until_true 20 complete
    fill
    python '
import errno, os
def errnum(f, *arguments):
    try:
        f(*arguments)
    except nbd.Error as e:
        return e.errnum
    return 0
open("broken", "w").close()
assert errnum(h.pwrite, disk[512 * K:768 * K], 512 * K) == errno.EIO
os.unlink("broken")
assert json.load(open("small/web1.state"))["owed"] == []
assert errnum(h.flush) == errno.ENOSPC
assert errnum(h.flush) == errno.ENOSPC
os.unlink("small/fill")
assert errnum(h.flush) == 0
assert json.load(open("small/web1.state"))["owed"] == [[512 * K, 256 * K]]
'
    said dst "error: .*262144 bytes at offset 524288 are not there, and apply-state=.*small/web1.state, which may say that they are, cannot be saved: flushes fail until it can be"
    until_true 20 said dst "262144 bytes are still owed"
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
    until_true 20 complete
    stop dst
    same disk.raw dst.raw
}
