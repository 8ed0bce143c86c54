# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate-trouble(7): the messages that it quotes are those of the sources, and its examples work.
load ../../lib
load manual
PAGE=nbdkit-replicate-trouble

unknown() { /usr/bin/python3 "$SOURCE/tests/system/manual/messages.py" "$1" "$SOURCE"; }

@test "each message that the page quotes is one of the sources" {
    unknown "$SOURCE/man/$PAGE.pod"
    [ "$(grep -c '^=item "' "$SOURCE/man/$PAGE.pod")" -gt 80 ]
    # It finds what nobody says, what is said in another order, and what is too short to mean anything.
    printf '=item "%s"\n' "is in use by another procession" "end that first ... is in use by another process" "is ... of" \
        "is in use by another process (...): end that first" > other.pod
    run unknown other.pod
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 3 ]
    [[ "$output" != *"process (...): end"* ]]
}

@test "where to look, and what the source and the image can do" {
    random_file disk.img 4M
    start dr memory 4M
    bin/nbdkit-replicate --state web1.state --from file disk.img delta-digests=web1.digests --to qcow2 file=web1.qcow2 \
        --also "$(uri dr)" fanout-name=dr
    [ "$(runs 'jq -c' | jq -s 'map(.[1]) == [[], []]')" = true ]
    runs 'df -h'
    start src file disk.img
    runs 'nbdcopy --progress'
    example 'time nbdkit -U - qcow2'
    sed -i 's/1G/16M/g' example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh
    [ ! -e speed.qcow2 ]
}

@test "a server whose map is wrong is read without it" {
    random_file disk.img 4M
    # It says that all is a hole and zero.
    cp disk.img served.img
    start server eval get_size='echo 4194304' can_extents='exit 0' extents='echo 0 4194304 hole,zero' \
        pread="dd if=$PWD/served.img skip=\$4 count=\$3 iflag=count_bytes,skip_bytes bs=64K status=none"
    example 'nbdkit -U plain.sock'
    sed -i 's/^nbdkit -U/nbdkit -P plain.pid -U/' example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh
    qemu-img compare -f raw -F qcow2 disk.img web1.qcow2
    # Without that it would have been a copy of zeroes.
    bin/nbdkit-replicate --state other.state --from nbd "$(uri server)" --to qcow2 file=other.qcow2
    must_fail qemu-img compare -f raw -F qcow2 disk.img other.qcow2
}

@test "what to collect" {
    runs 'nbdkit-replicate --version' > said
    grep -q '^nbdkit-replicate [0-9]' said
    grep -q '^name=vsphere$' said
    grep -q '^name=qcow2$' said
    grep -q '^filterdir=' said
}

@test "each example of the page is run by a test, or the page says that it is not" {
    /usr/bin/python3 "$SOURCE/tests/system/manual/pod_examples.py" --rest "$SOURCE/man/$PAGE.pod" \
        "$SOURCE/tests/system/manual/trouble.bats"
}
