# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate and NBD servers by TLS: those that libnbd would not verify are refused before anything is started.
load ../job
load replicate

OPTIONS+=(--state copy.state)

prepare() {
    export TMPDIR=$PWD/tmp HOME=$PWD/home
    mkdir tmp home empty
    truncate -s 1M disk.img
}

# refused TEXT OPTIONS...: with status 2, before anything is started.
refused() {
    refuses "$@"
    [ "$status" = 2 ]
    [ ! -e copy.state ]
    [ -z "$(ls ./*.qcow2 tmp/* 2> /dev/null)" ]
}
FILE=(--from file disk.img)
IMAGE=(--to qcow2 copy.qcow2)

# authority NAME: NAME/ca-cert.pem.
authority() {
    mkdir "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$1/ca-key.pem" -out "$1/ca-cert.pem" 2> /dev/null
}

# tls_server NAME OPTIONS...: as start, on a TCP port, $port.
tls_server() {
    local name=$1
    shift
    port=$(free_port)
    nbdkit -f -p "$port" -i 127.0.0.1 -P "$name.ready" --tls=require "$@" > "$name.log" 2>&1 3>&- &
    echo $! > "$name.pid"
    until_true 20 [ -s "$name.ready" ]
}

# certified_server NAME ARGUMENTS...: its certificate is signed by the authority pki.
certified_server() {
    authority pki
    authority other
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout pki/server-key.pem -out req.pem 2> /dev/null
    openssl x509 -req -in req.pem -CA pki/ca-cert.pem -CAkey pki/ca-key.pem -CAcreateserial -days 2 \
        -copy_extensions copy -out pki/server-cert.pem 2> /dev/null
    local name=$1
    shift
    tls_server "$name" --tls-certificates="$PWD/pki" "$@"
}

@test "without a certificate of an authority, nothing is started" {
    local uri=nbds://user@localhost:1/web1
    for dir in "" none empty; do
        refused "--also nbds://localhost:1/web1: " replicate_now "${FILE[@]}" "${IMAGE[@]}" \
            --also "$uri${dir:+?tls-certificates=$dir}"
        [[ "$output" == *"give tls-certificates=DIRECTORY in the URI"*"tls-verify-peer=false"* ]]
        refused "--from nbds://localhost:1/web1: " replicate_now --from nbd uri=$uri \
            ${dir:+tls-certificates=$dir} "${IMAGE[@]}"
        [[ "$output" == *"give tls-certificates=DIRECTORY as a parameter"* ]]
        refused "--to nbds://localhost:1/web1: " replicate_now "${FILE[@]}" --to nbd $uri \
            ${dir:+tls-certificates=$dir}
        refused "--from nbd tls=require: " replicate_now --from nbd hostname=localhost tls=require \
            ${dir:+tls-certificates=$dir} "${IMAGE[@]}"
    done
    refused "there is no ca-cert.pem in empty:" replicate_now --dry-run "${FILE[@]}" "${IMAGE[@]}" \
        --also "$uri?tls-certificates=empty"
    refused "--also nbds://localhost:1/{disk}: libnbd" replicate_now --state states/ "${FILE[@]}" \
        --to qcow2 'copy-{disk}.qcow2' --also 'nbds://localhost:1/{disk}'
    [ ! -e states ]
}

@test "a certificate on a Unix socket, which libnbd does not verify, and TLS that need not be, are refused" {
    authority pki
    refused "which an address that is not TCP does not give" replicate_now "${FILE[@]}" "${IMAGE[@]}" \
        --also "nbds+unix:///?socket=$PWD/a.sock&tls-certificates=pki"
    # Only a libnbd that takes tls-hostname= from the URI verifies it.
    named=(replicate_now --dry-run "${FILE[@]}" "${IMAGE[@]}"
        --also "nbds+unix:///?socket=$PWD/a.sock&tls-certificates=pki&tls-hostname=localhost")
    if /usr/bin/python3 -c 'import nbd; nbd.NBD.set_tls_hostname' 2> /dev/null; then
        "${named[@]}" | grep -q tls-hostname=localhost
    else
        refused "which an address that is not TCP does not give" "${named[@]}"
    fi
    refused "which an address that is not TCP does not give" replicate_now --from nbd socket=a.sock tls=require tls-certificates=pki \
        "${IMAGE[@]}"
    refused "add tls=require" replicate_now --from nbd hostname=localhost tls-certificates=pki "${IMAGE[@]}"
    refused "does not take names of files from the URI" replicate_now \
        --from nbd "uri=nbds://localhost:1/?tls-certificates=$PWD/pki" "${IMAGE[@]}"
}

@test "a server that the authority has certified is used, another one is not" {
    random_file disk.img 1M
    truncate -s 1M dr.raw
    certified_server dr file dr.raw
    local uri=nbds://localhost:$port/
    replicate_now "${FILE[@]}" "${IMAGE[@]}" --also "$uri?tls-certificates=$PWD/pki"
    same disk.img dr.raw
    rm -r copy.state*
    replicate_now --from nbd uri="$uri" tls-certificates=pki --to qcow2 back.qcow2
    qemu-img compare -f raw -F qcow2 disk.img back.qcow2
    rm copy.state
    refuses "certificate verification" replicate_now --from nbd uri="$uri" tls-certificates=other --to qcow2 new.qcow2
    truncate -s 0 dr.raw
    truncate -s 1M dr.raw
    run replicate_now "${FILE[@]}" --to qcow2 one.qcow2 --also "$uri?tls-certificates=$PWD/other" fanout-retries=0
    [ "$status" = 3 ]
    cmp -n 1048576 dr.raw /dev/zero
}

@test "where libnbd looks by itself: the home directory of a user, /etc of root" {
    [ "$(id -u)" = 0 ] || skip "is about root, too"
    authority pki
    local uri=nbds://localhost:1/ check='
import sys
from nbdkit_replicate.tls import peer_of_uri
peer_of_uri("--also", sys.argv[1]).check()'
    as_user() {
        PYTHONPATH=$SOURCE/scripts PYTHONDONTWRITEBYTECODE=1 setpriv --euid 65534 /usr/bin/python3 \
            -c "$check" "$uri"
    }
    refuses "no ca-cert.pem in $HOME/.pki/libnbd or $HOME/.config/pki/libnbd" as_user
    for dir in .pki .config/pki; do
        mkdir -p "home/$dir/libnbd"
        cp pki/ca-cert.pem "home/$dir/libnbd"
        as_user
        refused "no ca-cert.pem in /etc/pki/libnbd" replicate_now "${FILE[@]}" "${IMAGE[@]}" --also "$uri"
        rm -r "home/$dir"
    done
}

@test "accepting any server is said by the user, and by a warning" {
    random_file disk.img 1M
    cp disk.img dr.raw
    certified_server dr file dr.raw
    for words in "uri=nbds://localhost:$port/?tls-verify-peer=false" "nbds://localhost:$port/ tls-verify=no"; do
        run replicate_now --from nbd $words tls-certificates=other --to qcow2 copy.qcow2
        echo "$output"
        [ "$status" = 0 ]
        [[ "${lines[0]}" == *"warning: --from nbds://localhost:$port/: the server is not verified"* ]]
        qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
        rm -r copy.*
    done
}

@test "a key verifies the server" {
    random_file disk.img 1M
    truncate -s 1M dr.raw
    echo "alice:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" > keys.psk
    tls_server dr --tls-psk="$PWD/keys.psk" file dr.raw
    replicate_now "${FILE[@]}" "${IMAGE[@]}" --also "nbds://alice@localhost:$port/?tls-psk-file=$PWD/keys.psk"
    same disk.img dr.raw
    rm -r copy.*
    replicate_now --from nbd "nbds://alice@localhost:$port/" tls-psk=keys.psk "${IMAGE[@]}"
    qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
}
