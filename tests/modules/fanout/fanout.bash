# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of nbdkit-fanout-filter share. The filter's server is usually called f.

# fanout NAME ARGUMENTS...: nbdkit with the filter.
fanout() { local name=$1; shift; start "$name" --filter="$FANOUT" "$@"; }

# fails_to_start TEXT ARGUMENTS...: the filter refuses, saying TEXT, in one line.
fails_to_start() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -fU - --filter="$FANOUT" memory 1M "$@" || return 1
    [ "${#lines[@]}" -eq 1 ]
}

# python CODE ARGUMENTS...: runs it, with nbd and sys imported.
python() { local code=$1; shift; timeout 120 /usr/bin/python3 -c "import nbd, sys
$PAUSE
$code" "$@"; }

# write_once URI: writes 64K at offset 0; an error goes to the output.
write_once() {
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(b"x" * 65536, 0)' "$1"
}

# client_stays NAME: a client has connected to the server NAME, and does nothing until "stop client-of-NAME".
client_stays() {
    /usr/bin/python3 -c '
import nbd, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
open(sys.argv[2], "w").close()
signal.pause()' "$(uri "$1")" "client-of-$1.ready" 3>&- &
    echo $! > "client-of-$1.pid"
    until_true 20 test -e "client-of-$1.ready"
}

# metric FILE NAME DESTINATION: a counter's value.
metric() { sed -n "s/^nbdkit_fanout_$2{destination=\"$3\"} //p" "$1"; }

# said TEXT: whether the log of f has it.
said() { grep -q "$1" f.log; }

# owed FILE: how many bytes a state file owes.
owed() { jq '[.owed[][1]] | add // 0' "$1"; }

# peak NAME: the largest resident size of the server so far, in KiB.
peak() { awk '/^VmHWM:/ { print $2 }' "/proc/$(cat "$1.pid")/status"; }

# restart NAME FILE: starts the destination NAME again, with its content.
restart() { start "$1" -t 1 file "$2"; }

# For tests in which a destination comes back: a busy machine may take long to start it, and it must not be
# given up before.
PATIENT=(fanout-retries=100 fanout-retry-max=0.5)

# copied NAME: bytes that were copied to it to catch up, by stats.prom.
copied() { sed -n "s/^nbdkit_fanout_copied_bytes_total{destination=\"$1\"} //p" stats.prom; }
