# SPDX-License-Identifier: BSD-3-Clause
#
# The recipes of nbdkit-delta-filter(1), "Maps of other programs", with what those programs print.
load ../../lib

# recipe TEXT: the lines of the page from the one that contains TEXT up to "> list", as a shell command.
recipe() {
    awk -v text="$1" '/^ / && index($0, text) { on = 1 } on { print } on && /> list$/ { exit }' \
        "$SOURCE/man/nbdkit-delta-filter.pod" > recipe.sh
    grep -q '> list$' recipe.sh
    PATH=$PWD:$PATH bash -e recipe.sh
}

# prints PROGRAM TEXT: a program of this name that prints it.
prints() {
    printf '#!/bin/sh\ncat <<"END"\n%s\nEND\n' "$2" > "$1"
    chmod +x "$1"
}

@test "rbd diff" {
    prints rbd 'Offset    Length   Type
0         4194304  data
12582912  65536    zero'
    recipe "rbd diff"
    [ "$(cat list)" = "0 4194304
12582912 65536" ]
    nbdkit -U - --filter="$DELTA" memory 16M delta-map=list delta-since=a delta-checkpoint=b \
        --run 'nbdinfo --map --json "$uri"' | jq -e '[.[] | select(.type != 3) | .offset] == [0, 12582912]'
}

@test "the bitmap of XAPI" {
    # Blocks 0, 9 and 15.
    prints xe "$(printf '\x80\x41' | base64)"
    recipe "xe vdi-list-changed-blocks"
    [ "$(cat list)" = "0 65536
589824 65536
983040 65536" ]
}

@test "thin_delta" {
    prints thin_delta '<superblock uuid="" time="2" transaction="4" data_block_size="128" nr_data_blocks="1600">
  <diff left="1" right="2">
    <different begin="0" length="16"/>
    <same begin="16" length="32"/>
    <right_only begin="48" data_begin="8" length="2"/>
    <left_only begin="60" length="1"/>
  </diff>
</superblock>'
    recipe "thin_delta -m"
    [ "$(cat list)" = "0 1048576
3145728 131072
3932160 65536" ]
}
