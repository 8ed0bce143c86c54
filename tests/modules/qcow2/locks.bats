# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "an image in use is refused, here and by qemu-img" {
    start q "$QCOW2" image.qcow2 size=1M
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 size=1M \
        create=always --run true
    refuses 'Failed to get' qemu-img check image.qcow2
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    stop q
    start_qemu n -f qcow2 image.qcow2
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses "being written" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    refuses "being written" timeout 60 nbdkit -U - "$QCOW2" over.qcow2 backing=image.qcow2 \
        backing-format=qcow2 --run true
    [ ! -e over.qcow2 ]
    stop n
    # Readers share the image with readers, here and in QEMU, and keep writers out.
    start r "$QCOW2" image.qcow2 read-only=on
    timeout 60 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    timeout 60 nbdkit -U - "$QCOW2" over.qcow2 backing=image.qcow2 backing-format=qcow2 --run true
    qemu-img check -q image.qcow2
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    refuses 'Failed to get' timeout 60 qemu-nbd --socket="$PWD/w.sock" -f qcow2 image.qcow2
    stop r
    start_qemu m --read-only --shared=4 -f qcow2 image.qcow2
    timeout 60 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
    stop m
    # The backing file of an image that is served, and of one that QEMU serves.
    start o "$QCOW2" over.qcow2 backing=auto
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
    stop o
    start_qemu p -f qcow2 over.qcow2
    refuses "in use by another process" timeout 60 nbdkit -U - "$QCOW2" image.qcow2 --run true
}

@test "lock=off takes no locks and checks none" {
    start q "$QCOW2" image.qcow2 size=1M lock=off
    qemu-img info image.qcow2 > /dev/null
    timeout 60 nbdkit -U - "$QCOW2" image.qcow2 lock=off read-only=on --run true
    stop q
    sound image.qcow2
}

# no_locks COMMAND...: for which the file system of this directory has no locks.
no_locks() {
    mkdir -p synced
    LD_PRELOAD=$BUILD/tests/system/durability/storage_faults.so STORAGE_OF=$PWD STORAGE_SYNCED=$PWD/synced \
        STORAGE_NO_LOCKS=1 timeout 60 "$@"
}

@test "where the file system has no locks the message says how to do without" {
    qemu-img create -q -f qcow2 image.qcow2 1M
    refuses "image.qcow2 (where the file system has no locks, lock=off does without them: no other program may use the image then): No locks available" \
        no_locks nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses "lock=off" no_locks nbdkit -U - "$QCOW2" new.qcow2 size=1M --run true
    must_fail test -e new.qcow2
    no_locks nbdkit -U - "$QCOW2" image.qcow2 lock=off --run true
    no_locks nbdkit -U - "$QCOW2" new.qcow2 size=1M lock=off --run true
    # A state file has no such parameter.
    truncate -s 1M disk
    start src --filter="$DELTA" file disk
    refuses "state.lock (it has to lie on a file system that has locks): No locks available" \
        no_locks nbdkit -U - --filter="$APPLY" memory 1M apply-from="$(uri src)" apply-state=state --run true
}
