# SPDX-License-Identifier: BSD-3-Clause
#
# The extents that clients see.
load ../../lib
load slow_disk

@test "the extents are those of the layer below" {
    slow
    timeout 60 nbdcopy --synchronous "$(uri server)" null:
    timeout 60 nbdinfo --map "$(uri server)" > with
    nbdkit -r -U - file disk --run 'timeout 60 nbdinfo --map "$uri"' > without
    diff with without
}

@test "coalesce-extents=merged shows short gaps as data, and a copy is right" {
    truncate -s 32M scattered
    for n in 0 1 2 3 4 5 6 7; do
        dd if=disk of=scattered bs=64K count=1 skip=$n seek=$((2 * n)) conv=notrunc status=none
    done
    for how in exact merged; do
        start server -r --filter="$COALESCE" file scattered coalesce-extents=$how coalesce-gap=64K
        nbdinfo --map --json "$(uri server)" > $how.json
        rm -f out
        timeout 60 nbdcopy "$(uri server)" out
        same scattered out
        stop server
    done
    [ "$(jq length exact.json)" -eq 16 ]
    jq -c '[.[] | [.offset, .length, .type]]' merged.json > merged
    echo '[[0,983040,0],[983040,32571392,3]]' | diff - merged
    # One by one, as qemu-img asks, it is the same.
    start server -r --filter="$COALESCE" file scattered coalesce-extents=merged
    qemu-img map --output=json "nbd+unix:///?socket=$PWD/server.sock" > qemu.json
    jq -c '[.[] | [.start, .length, .data]]' qemu.json > qemu
    echo '[[0,983040,true],[983040,32571392,false]]' | diff - qemu
    rm -f out
    timeout 60 qemu-img convert -f raw -O raw "nbd+unix:///?socket=$PWD/server.sock" out
    same scattered out
}
