# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "seal=on: the image gets its name when it is complete, and not before" {
    random_file disk 5M
    # No client has written or flushed: not complete.
    try image.qcow2 size=5M seal=on
    [ -e image.qcow2.partial ]
    [ ! -e image.qcow2 ]
    start a "$QCOW2" image.qcow2 size=5M seal=on
    shell a -c 'h.pwrite(b"x" * 1000, 0)' -c 'h.flush()' -c 'h.pwrite(b"y" * 1000, 0)'
    stop a
    grep -q "keeps its name: no client has flushed" a.log
    sound image.qcow2.partial
    [ ! -e image.qcow2 ]
    # Killed: the next run continues with it.
    start b "$QCOW2" image.qcow2 size=5M seal=on
    copy --flush disk "$(uri b)"
    stop b KILL
    [ ! -e image.qcow2 ]
    start c "$QCOW2" image.qcow2 size=5M seal=on
    copy "$(uri c)" back
    same disk back
    shell c -c 'h.flush()'
    stop c
    [ -e image.qcow2 ]
    [ ! -e image.qcow2.partial ]
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    # Complete: not written to again by mistake.
    refuses "exists and is complete" try image.qcow2 size=5M seal=on
    refuses "exists and is complete" try image.qcow2 size=5M seal=on create=never
    cp image.qcow2 before
    random_file disk 5M 2
    start d "$QCOW2" image.qcow2 size=5M seal=on create=always
    copy --flush disk "$(uri d)"
    same before image.qcow2
    stop d
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    [ ! -e image.qcow2.partial ]
    refuses "create=never: " try new.qcow2 seal=on create=never
}
