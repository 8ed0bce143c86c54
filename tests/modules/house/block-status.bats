# SPDX-License-Identifier: BSD-3-Clause
#
# What the layer below answers is clipped to what was asked for: nbdkit 1.32 aborts at an extent that is
# longer than 2^32-1 bytes (CVE-2025-47711), and a plugin may answer for more than the request.
load ../../lib

# longest_status NAME: asks for 2^32-1 bytes at two offsets; what is told lies within each request.
longest_status() {
    /usr/bin/python3 - "$(uri "$1")" <<'PY'
import nbd, sys
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
most = 2**32 - 1
for offset in 0, 4096, 2**32:
    told = []
    h.block_status(most, offset, lambda context, at, entries, error: told.extend(entries[::2]))
    assert 0 < sum(told) <= most, (offset, told)
assert len(h.pread(512, 0)) == 512
h.shutdown()
PY
}

@test "each filter answers a block status of 2^32-1 bytes over a plugin that says more" {
    start delta --filter="$DELTA" memory 8G
    longest_status delta
    start coalesce --filter="$COALESCE" memory 8G
    longest_status coalesce
    start other memory 8G
    start fanout --filter="$FANOUT" memory 8G fanout-dest="$(uri other)"
    longest_status fanout
    start apply --filter="$APPLY" memory 8G apply-from="$(uri delta)" apply-state="$PWD/state"
    longest_status apply
    start pull --filter="$PULL" memory 8G pull-from="$(uri other)" pull-state="$PWD/pull.state"
    longest_status pull
    local name
    for name in delta coalesce fanout apply pull; do
        kill -0 "$(cat "$name.pid")"
    done
}
