# SPDX-License-Identifier: BSD-3-Clause
#
# What is refused: parameters, destinations and primaries.
load ../../lib
load fanout

@test "invalid parameters are refused at start, in one line" {
    start a memory 1M
    start readonly -r memory 1M
    a=$(uri a)
    fails_to_start 'fanout-dest=URI is missing'
    fails_to_start 'fanout-dest=: must be' fanout-dest=
    fails_to_start 'x: cannot connect:' fanout-dest=http://example.com/ fanout-name=x
    fails_to_start "x: cannot connect:" fanout-dest="nbd+unix:///?socket=$PWD/none" fanout-name=x
    fails_to_start 'x: the export is read-only' fanout-dest="$(uri readonly)" fanout-name=x
    fails_to_start 'fanout-name=x: must follow' fanout-name=x fanout-dest="$a"
    fails_to_start 'two destinations are called x' fanout-dest="$a" fanout-name=x \
        fanout-dest="$a" fanout-name=x
    fails_to_start 'two destinations are called nbd+unix' fanout-dest="$a" fanout-dest="$a"
    fails_to_start 'unknown parameter fanout-mod' fanout-dest="$a" fanout-mod=async
    fails_to_start 'fanout-concurrency=0: must be a number between 1 and 256' \
        fanout-dest="$a" fanout-concurrency=0
    fails_to_start 'fanout-connections=17: must be a number between 1 and 16' \
        fanout-dest="$a" fanout-connections=17
    fails_to_start 'fanout-timeout=0: must be a number of seconds' fanout-dest="$a" fanout-timeout=0
    fails_to_start 'fanout-connect-timeout=soon: must be' fanout-dest="$a" fanout-connect-timeout=soon
    fails_to_start 'fanout-mode=both: must be sync or async' fanout-dest="$a" fanout-mode=both
    fails_to_start 'fanout-on-error=ignore: must be fail or detach' fanout-dest="$a" fanout-on-error=ignore
    fails_to_start 'fanout-rate=1K: must be a size between 4K and 1T' fanout-dest="$a" fanout-rate=1K
    fails_to_start 'fanout-retries=101: must be' fanout-dest="$a" fanout-retries=101
    fails_to_start 'fanout-retry-delay=0: must be a number of seconds' fanout-dest="$a" fanout-retry-delay=0
    fails_to_start 'fanout-retry-max=x: must be a number of seconds' fanout-dest="$a" fanout-retry-max=x
    fails_to_start 'fanout-verify=101: must be a percentage' fanout-dest="$a" fanout-verify=101
    fails_to_start 'fanout-active=0: must be all, serial, or a number between' fanout-dest="$a" fanout-active=0
    fails_to_start 'fanout-active=1001: must be all, serial' fanout-dest="$a" fanout-active=1001
    fails_to_start 'fanout-drain-timeout=-5: must be a number of seconds' fanout-dest="$a" \
        fanout-drain-timeout=-5
    fails_to_start 'fanout-state=/nonexistent: must be a writable directory' fanout-dest="$a" fanout-state=/nonexistent
    fails_to_start 'cannot open /nonexistent/stats' fanout-dest="$a" fanout-stats=/nonexistent/stats
}

@test "a destination smaller than the primary is refused, with both sizes" {
    start small memory 512K
    fanout f memory 1M fanout-dest="$(uri small)" fanout-name=small
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q "error: small: the export has 524288 bytes, less than the primary's 1048576" f.log
}

@test "a read-only primary is refused" {
    start a memory 1M
    fanout f -r memory 1M fanout-dest="$(uri a)"
    run timeout 60 nbdinfo "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: fanout: the primary is read-only' f.log
}

@test "the destinations hold one export of the primary" {
    mkdir disks
    truncate -s 1M disks/one disks/two
    start a memory 1M
    fanout f file dir=disks fanout-dest="$(uri a)"
    write_once "$(uri f one)"
    run write_once "$(uri f two)"
    [ "$status" -ne 0 ]
    grep -q 'error: fanout: the destinations hold the export "one" and cannot hold "two"' f.log
    cmp -n 1048576 disks/two /dev/zero
    write_once "$(uri f one)"
}
