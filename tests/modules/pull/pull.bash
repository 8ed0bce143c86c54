# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of nbdkit-pull-filter share. The source is called src and serves src.raw, the filter's server p.

QUICK=(pull-retries=1 pull-retry-delay=0.1 pull-retry-max=0.2)

# A source of 8 MiB: data, 2 MiB of a hole at 4M, data.
prepare() {
    random_file src.raw 8M
    fallocate --punch-hole --offset 4M --length 2M src.raw
}
# source_server [FILTER [PARAMETER]]
source_server() { start src ${1:+"$1"} file src.raw ${2:+"$2"}; }

# pull ARGUMENTS...: the filter's server over what is given.
pull() { start p --filter="$PULL" "$@" pull-from="$(uri src)" pull-state="$PWD/state" pull-stats="$PWD/stats"; }
# over_file ARGUMENTS...: over a new file of the source's size.
over_file() {
    truncate -s 8M dst.raw
    pull file dst.raw "$@"
}

# python CODE: runs it with h connected to the filter, and src as the source's bytes.
python() {
    timeout 120 /usr/bin/python3 - "$(uri p)" <<PY
import json, nbd, os, signal, sys, time
K, M = 1 << 10, 1 << 20
src = open("src.raw", "rb").read()
def connect():
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.connect_uri(sys.argv[1])
    return h
def extents(h, count, offset):
    list = []
    h.block_status(count, offset, lambda c, o, e, err: list.extend(e))
    return [tuple(list[i:i + 2]) for i in range(0, len(list), 2)]
h = connect()
$1
PY
}

owes_nothing() { jq -e '.owed == []' state > /dev/null 2>&1; }
owed() { jq '[.owed[][1]] | add // 0' state; }
# metric NAME: a counter's value, after the server's end.
metric() { sed -n "s/^nbdkit_pull_$1 //p" stats; }
said() { grep -q "$1" p.log; }
whole() { until_true 60 owes_nothing; until_true 60 said 'connections to the source are closed'; }

# held_source: reads of what lies from 1M on are not answered before release.
held_source() {
    hold
    start src eval get_size="echo 8M" thread_model="echo parallel" can_multi_conn="exit 0" \
        pread="echo \$4 >> $PWD/reads; $(held_from 1048576)
            dd if=$PWD/src.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none"
}
