# SPDX-License-Identifier: BSD-3-Clause
#
# A source that is lost, silent, or replaced.
load ../../lib
load apply

@test "a source that is gone at the end is an error, and zeroes of the map are written" {
    source_server
    destination_server
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
import os, signal
os.kill(int(open("src.pid").read()), signal.SIGKILL)
'
    until_true 20 said dst "error: .*apply-from=.* bytes are still owed"
    # What the map says is zero needs no source.
    jq -e '[.owed[] | select(.[0] <= 524288 and .[0] + .[1] > 524288)] == []' web1.state
    jq -e '[.owed[] | select(.[0] <= 4194304 and .[0] + .[1] > 4194304)] == []' web1.state
    [ "$(owed)" -gt 0 ]
    stop src
    source_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "a source that is another one at the end is an error" {
    source_server
    destination_server
    stop src
    echo "0 16M" > honest
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c2 c3)"
    python 'h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "error: .*source is not the one that was there at the start"
    grep -q '"checkpoint":"c2"' web1.state
}

@test "a source that does not answer at the start is an error within the timeout" {
    start src --filter="$DELTA" --filter=delay file disk.raw delay-extents=60
    cp base.raw dst.raw
    start_time=$SECONDS
    refused "cannot read the map" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
    refused "second time" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
    [ $((SECONDS - start_time)) -lt 20 ]
    [ ! -e web1.state ]
    stop src KILL
    refused "apply-timeout=0: must be a number of seconds" apply-from=x apply-state=y apply-timeout=0
    refused "apply-connect-timeout=x: must be a number of seconds" apply-from=x apply-state=y apply-connect-timeout=x
}

@test "a source that does not answer at the end is an error within the timeout" {
    # One thread a connection: with more, nbdkit 1.32 may abort if a client disconnects while another
    # thread is about to answer it, and then the source is gone instead of silent.
    start src -t 1 --filter="$DELTA" --filter=exportname --filter=extentlist --filter=delay file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" rdelay=60
    destination_server apply-timeout=0.5
    python 'h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "error: .*apply-from=.*cannot read at offset .*Connection timed out.*second time.* bytes are still owed"
    jq -e '[.owed[] | select(.[0] <= 524288 and .[0] + .[1] > 524288)] == []' web1.state
    [ "$(owed)" -gt 0 ]
    stop dst
    stop src KILL
    source_server
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "a source that accepts connections and sends nothing is an error within the timeout" {
    /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("mute.sock")
s.listen(16)
open("mute.ready", "w").write("x")
time.sleep(60)' 3>&- &
    echo $! > mute.pid
    until_true 10 [ -s mute.ready ]
    cp base.raw dst.raw
    start_time=$SECONDS
    refused "no greeting within 0.5 s" apply-from="$(uri mute)" apply-state=web1.state apply-connect-timeout=0.5
    [ $((SECONDS - start_time)) -lt 10 ]
}
