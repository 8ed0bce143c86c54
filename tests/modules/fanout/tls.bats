# SPDX-License-Identifier: BSD-3-Clause
#
# Destinations with TLS.
load ../../lib
load fanout

# certificates: pki has those of the server localhost and of their authority, other has another authority's.
certificates() {
    mkdir pki other
    for dir in pki other; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
            -keyout $dir/ca-key.pem -out $dir/ca-cert.pem 2> /dev/null
    done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout pki/server-key.pem -out req.pem 2> /dev/null
    openssl x509 -req -in req.pem -CA pki/ca-cert.pem -CAkey pki/ca-key.pem -CAcreateserial -days 2 \
        -copy_extensions copy -out pki/server-cert.pem 2> /dev/null
}

@test "nbds without a key or certificate is an error, not a downgrade" {
    start a memory 1M
    fails_to_start 'x: a certificate cannot be verified without the name that it must be for, which nbds+unix:// does not give' \
        fanout-dest="nbds+unix:///?socket=$PWD/a.sock" fanout-name=x
    fails_to_start 'x: cannot connect:' \
        fanout-dest="nbds+unix:///?socket=$PWD/a.sock&tls-verify-peer=false" fanout-name=x
    mkdir empty
    fails_to_start 'x: a certificate cannot be verified without the name that it must be for, which nbds+unix:// does not give' \
        fanout-dest="nbds+unix:///?socket=$PWD/a.sock&tls-certificates=$PWD/empty" fanout-name=x
}

@test "nbds with a PSK: the name in messages does not show the key's file" {
    echo "alice:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" > keys.psk
    echo "alice:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" > wrong.psk
    start a --tls=require --tls-psk="$PWD/keys.psk" memory 1M
    tls="nbds+unix://alice@/?socket=$PWD/a.sock&tls-psk-file"
    fails_to_start "nbds+unix:///?socket=$PWD/a.sock: cannot connect:" fanout-dest="$tls=wrong.psk"
    fails_to_start "nbd+unix:///?socket=$PWD/a.sock: cannot connect:" fanout-dest="$(uri a)"
    fanout f memory 1M fanout-dest="$tls=keys.psk"
    write_once "$(uri f)"
    timeout 60 nbdcopy "$tls=$PWD/keys.psk" a.out
    [ "$(head -c 65536 a.out | tr -d x | wc -c)" -eq 0 ]
    stop f
    grep "nbds+unix:///?socket=$PWD/a.sock: 65536 bytes written" f.log
}

@test "nbds with certificates over TCP, with keep-alive" {
    certificates
    port=$(free_port)
    nbdkit -f -p "$port" -i 127.0.0.1 -P a.ready --tls=require --tls-certificates="$PWD/pki" memory 1M \
        > a.log 2>&1 3>&- &
    echo $! > a.pid
    until_true 20 [ -s a.ready ]
    fails_to_start 'requires TLS encryption first' fanout-dest="nbd://localhost:$port" fanout-name=x
    server=nbds://localhost:$port
    # Nobody is trusted but the server with the right name and a certificate of the right CA.
    fails_to_start 'not signed by the CA in ca-cert.pem' fanout-dest="$server?tls-certificates=$PWD/other" fanout-name=x
    fails_to_start 'another host name' fanout-dest="nbds://127.0.0.1:$port?tls-certificates=$PWD/pki" fanout-name=x
    mkdir none
    for tls in '' "?tls-certificates=$PWD/none" "?tls-certificates=$PWD/nosuch" '?tls-certificates=' \
        "?tls-certificates=$PWD/none&tls-verify-peer=true" "?TLS-CERTIFICATES=$PWD/pki" "#?tls-psk-file=x" \
        "?tls%2Dcertificates=$PWD/none"; do
        HOME=$PWD/none fails_to_start '/ca-cert.pem: No such file or directory): give' \
            fanout-dest="$server$tls" fanout-name=x
    done
    fails_to_start 'tls-verify-peer=no: must be true or false' fanout-dest="$server?tls-verify-peer=no" fanout-name=x
    # The same for the source of apply.
    refuses 'the server cannot be verified' timeout 60 nbdkit -fU - --filter="$APPLY" memory 1M \
        apply-from="$server?tls-certificates=$PWD/none" apply-state="$PWD/state.json" --run 'nbdinfo --size "$uri"'

    # Whoever gives up the verification says so, and is told.
    fanout g memory 1M fanout-dest="$server?tls-certificates=$PWD/other&tls-verify-peer=false" fanout-name=x
    write_once "$(uri g)"
    stop g
    grep 'warning: x: the server is not verified (tls-verify-peer=false)' g.log
    fanout f memory 1M fanout-dest="nbds://localhost:$port?tls-certificates=$PWD/pki" fanout-name=x
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"x" * 65536, 0)
# The kernel shows that the connection has a timer (02: keep-alive).
port = "%04X" % int(sys.argv[2])
lines = [l.split() for f in ("/proc/net/tcp", "/proc/net/tcp6") for l in open(f)]
timers = [l[5][:2] for l in lines if l[2].endswith(":" + port) and l[3] == "01"]
assert timers and all(t in ("02", "01") for t in timers) and "02" in timers, timers
' "$(uri f)" "$port"
}

@test "nbds on a Unix domain socket: tls-hostname= is the name that the certificate must be for" {
    needs_libnbd 1.22
    certificates
    start a --tls=require --tls-certificates="$PWD/pki" memory 1M
    server="nbds+unix:///?socket=$PWD/a.sock&tls-certificates"
    fails_to_start 'give the URI tls-hostname=NAME' fanout-dest="$server=$PWD/pki" fanout-name=x
    fails_to_start 'another host name' fanout-dest="$server=$PWD/pki&tls-hostname=example.com" fanout-name=x
    fails_to_start 'not signed by the CA in ca-cert.pem' \
        fanout-dest="$server=$PWD/other&tls-hostname=localhost" fanout-name=x
    fanout f memory 1M fanout-dest="$server=$PWD/pki&tls-hostname=localhost" fanout-name=x
    write_once "$(uri f)"
    must_fail grep 'warning: x: the server is not verified' f.log
}
