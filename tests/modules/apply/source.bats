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

@test "a source that hangs at the end: the server ends within the timeouts" {
    source_server
    destination_server apply-timeout=5 apply-connect-timeout=5
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
pause(int(open("src.pid").read()))
'
    stop dst
    kill -KILL "$(cat src.pid)"
    grep -q 'error: .*apply-from=.* bytes are still owed' dst.log
    [ "$(owed)" -gt 0 ]
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
    start src --filter="$DELTA" --filter=delay file disk.raw delay-extents=600
    cp base.raw dst.raw
    refused "cannot read the map" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
    refused "second time" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
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
    destination_server apply-timeout=5
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
time.sleep(600)' 3>&- &
    echo $! > mute.pid
    until_true 10 [ -s mute.ready ]
    cp base.raw dst.raw
    refused "no greeting within 5 s" apply-from="$(uri mute)" apply-state=web1.state apply-connect-timeout=5
}

# A source that says that a new connection confirms what it shows, and refuses one while the file "refuse"
# exists. Each refusal is a line in "refused".
confirming_source() {
    local confirm=$(description c1 c2)
    start src --filter="$DELTA" --filter=extentlist eval extentlist="$PWD/honest" \
        open="[ ! -e $PWD/refuse ] || { echo >> $PWD/refused; echo 'ENOENT the snapshot is gone' >&2; exit 1; }" \
        get_size="echo 16777216" thread_model="echo parallel" \
        pread="dd if=$PWD/disk.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        export_description="printf %s '${confirm%\}},\"confirm\":\"connection\"}'"
}
refusals() { [ "$(cat refused 2> /dev/null | wc -l)" -ge "$1" ]; }

@test "a source that no longer confirms what it showed fails the run, and what it confirmed stays" {
    confirming_source
    destination_server apply-connect-timeout=5
    python '
def fails(f, *arguments):
    try:
        f(*arguments)
    except nbd.Error as e:
        return e.errno == "EIO"
    return False
deadline = time.monotonic() + 120
def until(happens):   # with flushes: the state is saved once a second
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
def reduced():
    h.flush()
    return not any(at <= 512 * K < at + length for at, length in json.load(open("web1.state"))["owed"])
h.pwrite(disk[512 * K:768 * K], 512 * K)
until(reduced)
owed = json.load(open("web1.state"))["owed"]
open("refuse", "w")
h.pwrite(disk[5184 * K:5248 * K], 5184 * K)
until(lambda: fails(h.flush))
assert fails(h.pwrite, b"x" * 512, 524288)
assert fails(h.zero, 512, 524288)
assert json.load(open("web1.state"))["owed"] == owed
'
    must_fail timeout 60 nbdinfo --size "$(uri dst)"
    stop dst
    jq -e '[.owed[] | select(.[0] <= 5308416 and .[0] + .[1] > 5308416)] != []' web1.state
    [ "$(grep -c 'error: .*no longer shows the instant.*run the same command again' dst.log)" -le 2 ]
    said dst "error: the source no longer shows the instant"
    # The same command again.
    rm refuse
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state"
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "a copy that is not confirmed at the end is not complete" {
    confirming_source
    destination_server apply-connect-timeout=5
    /usr/bin/python3 - "$(uri dst)" <<'PY2'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
disk = open("disk.raw", "rb").read()
for at in range(0, len(disk), 1 << 20):
    h.pwrite(disk[at:at + (1 << 20)], at)
open("refuse", "w")
h.shutdown()
PY2
    until_true 20 said dst "error: the source no longer shows the instant"
    stop dst
    must_fail owes_nothing
    [ "$(grep -c 'error: the source no longer shows the instant' dst.log)" = 1 ]
    same disk.raw dst.raw
}

@test "a source that cannot be asked for a moment is asked again" {
    confirming_source
    destination_server apply-connect-timeout=30
    touch refuse
    { until_true 60 refusals 2; rm refuse; } 3>&- &
    python 'for at in range(0, len(disk), K * K): h.pwrite(disk[at:at + K * K], at)'
    wait $!
    until_true 40 owes_nothing
    stop dst
    must_fail said dst "no longer shows"
    same disk.raw dst.raw
}

@test "a source that tells its map in pieces of 64K is copied whole" {
    # Data, zeroes and what has not changed, in turn; of each request only the first piece is told.
    /usr/bin/python3 -c '
import random
step, source, old = 65536, bytearray(), bytearray()
for i in range(48):
    before, after = random.randbytes(step), random.randbytes(step)
    old += before
    source += [after, bytes(step), before][i % 3]
open("disk.raw", "wb").write(source)
open("base.raw", "wb").write(old)'
    types=(0 zero hole)
    for above in "" delta; do
        rm -f web1.state
        # Without the delta filter it has to be a view itself.
        [ "$above" = delta ] || types[2]=hole,zero
        start src ${above:+--filter="$DELTA"} eval get_size="echo 3M" thread_model="echo parallel" \
            pread="dd if=$PWD/disk.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
            extents="set -- \$4 \$((65536 - \$4 % 65536)) \$((\$4 / 65536 % 3)); case \$3 in 0) t=${types[0]} ;; 1) t=${types[1]} ;; 2) t=${types[2]} ;; esac; echo \$1 \$2 \$t"
        destination_server apply-verify=off
        timeout 120 nbdcopy "$(uri src)" "$(uri dst)"
        until_true 20 grep -q '"owed":\[\]' web1.state
        stop dst
        stop src
        same disk.raw dst.raw
        types[2]=hole
    done
}

@test "whoever gives up the verification of the source is told, once" {
    mkdir pki
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
        -keyout pki/ca-key.pem -out pki/ca-cert.pem 2> /dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout pki/server-key.pem \
        -out req.pem 2> /dev/null
    openssl x509 -req -in req.pem -CA pki/ca-cert.pem -CAkey pki/ca-key.pem -CAcreateserial -days 2 \
        -out pki/server-cert.pem 2> /dev/null
    source_server --tls=require --tls-certificates="$PWD/pki"
    cp --sparse=never base.raw dst.raw
    from="nbds+unix:///?socket=$PWD/src.sock"
    start dst --filter="$APPLY" file dst.raw apply-from="$from&tls-verify-peer=false" apply-state="$PWD/web1.state"
    timeout 60 nbdcopy "$from&tls-verify-peer=false" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
    [ "$(grep -c "warning: apply-from=nbds+unix:.*the server is not verified (tls-verify-peer=false): it may be anybody" dst.log)" = 1 ]
    refused "cannot be verified" apply-from="$from" apply-state="$PWD/web1.state"
}

@test "a source with large blocks is read in whole ones" {
    source_server --filter=blocksize-policy blocksize-minimum=4096 blocksize-preferred=64K blocksize-maximum=1M \
        blocksize-error-policy=error
    destination_server
    # The client leaves out zeroes that begin and end within a block, in the middle of data.
    python '
skipped = (6300 * K + 512, 6310 * K - 512)
for begin, end in (0, skipped[0]), (skipped[1], len(disk)):
    for at in range(begin, end, K * K):
        h.pwrite(disk[at:min(at + K * K, end)], at)
'
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
    must_fail grep 'error: ' src.log
}
