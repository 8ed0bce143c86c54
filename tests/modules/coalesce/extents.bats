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

@test "coalesce-gap= is read whatever it costs; without it gaps are left out for some reads, to measure" {
    truncate -s 16M scattered
    for ((n = 0; n < 128; n++)); do
        dd if=disk of=scattered bs=64K count=1 skip=$n seek=$((2 * n)) conv=notrunc status=none
    done
    for gap in given measured; do
        start server -r --filter="$COALESCE" --filter=delay file scattered rdelay=2ms coalesce-prefetch=off \
            coalesce-chunk=1M coalesce-stats=$gap.stats $([ $gap = measured ] || echo coalesce-gap=1M)
        rm -f out
        timeout 60 nbdcopy --synchronous "$(uri server)" out
        same scattered out
        stop server
    done
    in_gaps() { awk '$1 == "nbdkit_coalesce_gap_bytes_total" { print $2 }' "$1.stats"; }
    # Of 16 pieces; while the filter does not know yet that its layer is slow, no gap is read.
    [ "$(in_gaps given)" -gt $((13 * 7 * 65536)) ]
    [ "$(in_gaps measured)" -lt "$(in_gaps given)" ]
}
