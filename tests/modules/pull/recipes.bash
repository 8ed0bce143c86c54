# SPDX-License-Identifier: BSD-3-Clause
#
# The examples of nbdkit-pull-filter(1), as commands of a test.

# example TEXT: the command of the page that begins with TEXT, with the module that was built.
example() {
    awk -v text=" $1" 'index($0, text) == 1 { on = 1 } on && ! /^ / { exit } on { print }' \
        "$SOURCE/man/nbdkit-pull-filter.pod" > example.sh
    [ -s example.sh ]
    sed -i "s,--filter=pull,--filter=$PULL,; s,--filter=fanout,--filter=$FANOUT,; s,--filter=apply,--filter=$APPLY,; s,--filter=delta,--filter=$DELTA,; s, qcow2 file, $QCOW2 file," example.sh
    cat example.sh
}
# serves NAME TEXT: the example is a server on NAME.sock, in the background.
serves() {
    example "$2"
    sed -i "1s/^ nbdkit -U/ exec nbdkit -fv -P $1.ready -U/" example.sh
    bash -e example.sh > "$1.log" 2>&1 3>&- &
    echo $! > "$1.pid"
    until_true 60 started_or_gone "$1"
    [ -s "$1.ready" ] || { cat "$1.log"; return 1; }
}
