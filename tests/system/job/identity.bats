# SPDX-License-Identifier: BSD-3-Clause
#
# apply and qcow2 without the command: the image is the one that the state is about.
load ../../lib

prepare() { random_file disk.raw 2M 3; }

# source_and_target: the servers of one run.
source_and_target() {
    start src --filter="$DELTA" file disk.raw delta-digests=web1.digests delta-owed=web1.state
    start dst --filter="$APPLY" "$QCOW2" web1.qcow2 size=2M state=web1.state apply-from="$(uri src)" \
        apply-state=web1.state apply-verify=off
}
end() {
    stop dst
    stop src
}

@test "an earlier copy of the image is found by what it says of itself, and the next run copies everything" {
    source_and_target
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    end
    cp web1.qcow2 yesterday.qcow2
    dd if=/dev/urandom of=disk.raw bs=4K seek=100 count=1 conv=notrunc status=none
    source_and_target
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    end
    qemu-img compare -f raw -F qcow2 disk.raw web1.qcow2

    cp yesterday.qcow2 web1.qcow2
    source_and_target
    must_fail nbdcopy --flush "$(uri src)" "$(uri dst)"
    end
    grep 'an earlier or a later copy of that image; the state now says that a full copy is owed: run the same command again' dst.log
    jq -e '.owed == [[0, 2097152]] and .checkpoint == ""' web1.state
    source_and_target
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    end
    jq -e '.owed == []' web1.state
    qemu-img compare -f raw -F qcow2 disk.raw web1.qcow2
}

@test "an image that any flush would complete is refused: seal=@STATE is wanted" {
    start src --filter="$DELTA" file disk.raw
    start dst --filter="$APPLY" "$QCOW2" web1.qcow2 size=2M seal=on apply-from="$(uri src)" apply-state=web1.state
    must_fail nbdcopy --flush "$(uri src)" "$(uri dst)"
    stop dst
    grep "give the qcow2 plugin seal=@$PWD/web1.state instead of seal=on" dst.log
    [ ! -e web1.qcow2 ]
    [ ! -e web1.state ]
}
