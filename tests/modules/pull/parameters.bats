# SPDX-License-Identifier: BSD-3-Clause
#
# What is refused: parameters, sources and layers below.
load ../../lib
load pull

# refused TEXT ARGUMENTS...: nbdkit does not start.
refused() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -fU - --filter="$PULL" "$@"
}
# cannot_be_used TEXT ARGUMENTS...: no client can connect.
cannot_be_used() {
    local text=$1
    shift
    pull "$@"
    must_fail timeout 60 nbdinfo "$(uri p)" 2> /dev/null
    said "$text"
    stop p
    [ ! -e state ]
}

@test "invalid parameters are refused at start" {
    source_server
    from=(memory 8M pull-from="$(uri src)" pull-state="$PWD/state")
    refused 'pull-from is required' memory 8M pull-state=state
    refused 'pull-state is required' memory 8M pull-from="$(uri src)"
    refused 'pull-from=web1: must be the URI' memory 8M pull-from=web1
    refused 'pull-workers=0: must be a number between 1 and 64' "${from[@]}" pull-workers=0
    refused 'pull-connections=17: must be a number between 1 and 16' "${from[@]}" pull-connections=17
    refused 'pull-chunk=96K: must be a power of two' "${from[@]}" pull-chunk=96K
    refused 'pull-chunk=4K: must be a size between 64K and 32M' "${from[@]}" pull-chunk=4K
    refused 'pull-memory=1048576: must be at least twice pull-chunk' "${from[@]}" pull-memory=1M
    refused 'pull-rate=1K: must be a size between 4K and 1T' "${from[@]}" pull-rate=1K
    refused 'pull-priority=1M: "1M" must be OFFSET-END' "${from[@]}" pull-priority=1M
    refused 'pull-image=other: must be same or any' "${from[@]}" pull-image=other
    refused 'pull-retries=101: must be' "${from[@]}" pull-retries=101
    refused 'pull-timeout=0: must be a number of seconds' "${from[@]}" pull-timeout=0
    refused 'cannot open /nonexistent/stats' "${from[@]}" pull-stats=/nonexistent/stats
    refused 'pull-state=/nonexistent/state: cannot write to the directory' memory 8M pull-from="$(uri src)" \
        pull-state=/nonexistent/state
    [ ! -e state ]
}

@test "a source that is not there is refused, if there is no state" {
    refused 'cannot connect' memory 8M pull-from="nbd+unix:///?socket=$PWD/none" pull-state="$PWD/state"
}

@test "a layer below that is too small, read-only, or for one connection" {
    source_server
    cannot_be_used 'the layer below has 1048576 bytes, less than the source.s 8388608' memory 1M
    cannot_be_used 'the layer below is read-only' eval get_size='echo 8M' pread='exit 1'
    refused 'the layer below serves one connection at a time' --filter=noparallel memory 8M serialize=connections \
        pull-from="$(uri src)" pull-state="$PWD/state"
}

@test "a plugin that serves a directory is refused, instead of crashing in it" {
    source_server
    mkdir disks
    for plugin in file ondemand; do
        refused 'the filter has only the default export: give it one file' $plugin dir="$PWD/disks" \
            pull-from="$(uri src)" pull-state="$PWD/state"
    done
    [ ! -e state ]
}

@test "one server for a state, and one export" {
    source_server
    over_file
    refuses 'another server is using this state file' timeout 60 nbdkit -fU - --filter="$PULL" file dst.raw \
        pull-from="$(uri src)" pull-state="$PWD/state"
    must_fail timeout 60 nbdinfo "$(uri p other)" 2> /dev/null
    said 'there is no export "other"'
}
