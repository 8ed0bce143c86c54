# SPDX-License-Identifier: BSD-3-Clause
#
# The server: the example of the manual page, a daemon, progress.
load ../../lib
load apply

@test "the example of the manual page" {
    source_server
    cp base.raw dst.raw
    timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw apply-from="$(uri src)" \
        apply-state=web1.state --run "nbdcopy --flush '$(uri src)' \"\$uri\""
    until_true 20 owes_nothing
    jq -e '.owed == []' web1.state
    same disk.raw dst.raw
}

@test "a daemon finds a source's socket that was given as a relative path" {
    source_server
    cp --sparse=never base.raw dst.raw
    nbdkit -U dst.sock -P dst.pid --filter="$APPLY" file dst.raw \
        apply-from='nbd+unix:///?socket=src.sock' apply-state=web1.state 3>&-
    nbdcopy --destination-is-zero --flush "$(uri src)" "$(uri dst)"
    stop dst
    same disk.raw dst.raw
    [ "$(jq '.owed | length' web1.state)" = 0 ]
}

@test "progress is logged every two seconds, and the statistics agree with it" {
    source_server
    destination_server apply-stats=stats
    grep -q '^nbdkit_apply_covered_bytes 0$' stats
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
deadline = time.monotonic() + 120
def until(name, text):
    while text not in open(name).read():
        assert time.monotonic() < deadline, open(name).read()[-2000:]
        time.sleep(0.05)
until("dst.log", "apply: 262144 of ")
until("stats", "nbdkit_apply_covered_bytes 262144\n")
h.flush()
'
    stop dst
    delta=$(awk '$1 == "nbdkit_apply_delta_bytes" { print $2 }' stats)
    owed=$(awk '$1 == "nbdkit_apply_owed_bytes" { print $2 }' stats)
    [ "$owed" = "$(owed)" ]
    [ "$owed" -gt 0 ]
    [ "$owed" -lt "$delta" ]
    said dst "apply: 262144 of $delta bytes of the delta are covered, $delta bytes are owed; 1 clients"
    refused "apply-stats" apply-from="$(uri src)" apply-state=web1.state apply-stats=/nonexistent/stats
}
