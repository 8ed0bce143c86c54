# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate prune: what is kept is restored as it was, whenever prune is killed.
load ../job
load replicate
load points

prune() { "$COMMAND" prune plan.toml "$@"; }

# by_time: references with the names that prune_kills.py wants.
by_time() {
    local one
    mkdir refs
    for one in *.ref; do cp "$one" "refs/$(time_of "${one%.ref}").ref"; done
}

@test "what is not kept is merged into the point above, and everything that is kept is as it was" {
    one_disk '{ last = 2, weekly = 1 }'
    nights 5 9
    # Night 7 is a Sunday. Night 8 stays because of night 9, which is the newest.
    before=$(du -B1 -s images | cut -f1)
    run prune --dry-run
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"would be merged into $(basename "$(image_of 8)")"* ]]
    complete 5 6 7 8 9
    run prune
    echo "$output"
    [ "$status" = 0 ]
    complete 8 9
    [[ "$output" == *"MiB freed"* ]]
    [ "$(du -B1 -s images | cut -f1)" -lt "$before" ]
    for one in 8 9; do
        restored $one
        sound "$(image_of $one)"
    done
    "$COMMAND" verify plan.toml --all --build "$BUILD"
    [ "$(find images -type f | wc -l)" = 4 ]
    # The next night goes on from there, and prune again.
    nights 10 11
    complete 8 9 10 11
    prune
    complete 10 11
    restored 10
    restored 11
    run prune
    [[ "$output" == *" 0 B freed"* ]]
}

@test "killed before each of its steps" {
    one_disk '{ last = 2 }'
    nights 1 4
    by_time
    run timeout 1500 /usr/bin/python3 "$SOURCE/tests/system/replicate/prune_kills.py" plan.toml refs steps
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *" steps" ]]
}

@test "killed at random instants, with qemu-img" {
    one_disk '{ last = 2 }'
    nights 1 4
    by_time
    mkdir bin
    cat > bin/qemu-img <<'SH'
#!/bin/sh
command=$1
shift
case "$command" in
    commit) exec /usr/bin/qemu-img commit -r 2M "$@" ;;
    *) exec /usr/bin/qemu-img "$command" "$@" ;;
esac
SH
    chmod +x bin/qemu-img
    PATH=$PWD/bin:$PATH run timeout 1500 /usr/bin/python3 "$SOURCE/tests/system/replicate/prune_kills.py" plan.toml refs \
        random 24 "${SOAK_SEED:-1}"
    echo "$output"
    [ "$status" = 0 ]
}

@test "a run and a restore are not disturbed" {
    one_disk '{ last = 1 }'
    nights 1 3
    exec 9> states/web1/d.state.lock
    flock -n 9
    run prune
    exec 9>&-
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"a run or prune is under way"* ]]
    exec 9> states/web1/run.lock
    flock -n 9
    run prune
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"run of this machine is under way"* ]]
    prune --dry-run
    exec 9>&-
    complete 1 2 3
    # Somebody reads night 1, which is to be merged.
    start reader "$QCOW2" "$(image_of 1)" read-only=on
    run prune
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"is in use"* ]]
    complete 1 2 3
    stop reader
    prune
    complete 2 3
}

@test "what somebody has made over a point in its directory stays what it is, whatever name it has for the point" {
    one_disk '{ last = 2 }'
    mkdir store
    ln -s store images
    nights 1 2
    mine=images/web1/mine.qcow2
    qemu-img create -q -f qcow2 -F qcow2 -b "$PWD/store/web1/$(basename "$(image_of 1)")" "$mine"
    qemu-io -c 'write -P 7 64K 64K' "$mine" > /dev/null
    qemu-img convert -O raw "$mine" mine.ref
    # Everything anew: nobody but mine.qcow2 needs night 1.
    rm -r states disk.digests
    nights 3 4
    run prune
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"$(basename "$(image_of 1)") is not kept, but stays for now: mine.qcow2 lies on it"* ]]
    complete 1 3 4
    qemu-img compare -f qcow2 -F raw "$mine" mine.ref
    # A name that is not one of a file.
    base=$(jq -nc --arg file "$PWD/$(image_of 1)" '{driver: "qcow2", file: {driver: "file", filename: $file}}')
    qemu-img rebase -u -f qcow2 -F qcow2 -b "json:$base" "$mine"
    nights 5 5
    run prune
    echo "$output"
    [ "$status" = 1 ]
    [ "$(grep -c 'nothing is removed or merged: mine.qcow2 lies on json:.*qemu-img rebase -u' <<< "$output")" = 1 ]
    complete 1 3 4 5
    qemu-img compare -f qcow2 -F raw "$mine" mine.ref
}

@test "what an interrupted run has left, and no other will go on with, is removed" {
    one_disk
    sed -i '1i longest-chain = 2' plan.toml
    nights 1 2
    cp -r images before
    # Abandoned: a run to an image that the state does not name.
    qemu-img create -q -f qcow2 "$(image_of 4).partial.tmp-939e3e98-b009-46ac-99bd-a05e8a00c5bd" 1M
    touch "$(image_of 4).digests.partial"
    touch images/web1/other
    run prune
    echo "$output"
    [ "$status" = 0 ]
    diff -r images before | sort > left
    [ "$(cat left)" = "Only in images/web1: other" ]
    complete 1 2
}

@test "rounds of nights on which runs and prune are killed, and images are lost" {
    one_disk '{ last = 3 }'
    sed -i '1i longest-chain = 5' plan.toml
    run timeout 1200 /usr/bin/python3 "$SOURCE/tests/system/replicate/points_rounds.py" "$BUILD" plan.toml \
        "${SOAK_ROUNDS:-6}" "${SOAK_SEED:-1}"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *" points read" ]]
}
