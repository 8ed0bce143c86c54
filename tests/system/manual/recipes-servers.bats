# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate-recipes(7): a server for disaster recovery: certificates, nbdkit and QEMU, who may write, systemd.
load ../job
load manual

# certificates: the certificates of the page, by certtool, for a server called localhost.
certificates() {
    PLACES+=(-e 's,dr\.example\.com,localhost,g')
    {
        runs 'cn = "NBD authority'
        runs 'dns_name'
        runs 'tls_www_client'
    } > certtool.log 2>&1 || { cat certtool.log; return 1; }
    runs 'install -D -m 600 -t /etc/nbdkit-replicate'
    [ "$(stat -c %a etc/pki/nbdkit/server-key.pem)" = 600 ]
}

# on_a_port: the examples that follow use a port that is free now, $port.
on_a_port() {
    port=$(free_port)
    PLACES+=(-e "s,nbds://localhost/,nbds://localhost:$port/," -e "s,10809,$port,g" -e 's,addr.host=::,addr.host=127.0.0.1,')
}

# replicated_to: the disks 2000 and 2001 of the vCenter, by the command of the page.
replicated_to() {
    example "nbdkit-replicate --state web1/"
    sed -i -e "s,server=vc.example.com user=[^ ]*,server=$SERVER user=$USER_NAME cafile=$CA," example.sh
    mkdir -p backup
    cp vc.pass etc/nbdkit-replicate/
    PATH=$PWD/bin:$PATH bash -e example.sh
}
vcenter_with_two_disks() {
    random_file live2.img 3M 2
    truncate -s 5M live2.img
    vcenter --disk 2001="$PWD/live2.img"
}
TLS_URI() { echo "nbds://localhost:$port/$1?tls-certificates=$PWD/etc/nbdkit-replicate/tls"; }

@test "certificates from nothing, and one nbdkit for all disks; increments; without a certificate nobody is let in" {
    certificates
    on_a_port
    mkdir -p srv/dr
    truncate -s "$SIZE" srv/dr/web1-2000
    truncate -s 5M srv/dr/web1-2001
    example 'truncate -s 40G'
    sed -i -e '/^truncate/d' -e "s,^nbdkit,exec nbdkit -f -i 127.0.0.1 -p $port," example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh > dr.log 2>&1 3>&- &
    echo $! > dr.pid
    until_reached dr "$(TLS_URI web1-2000)"
    runs "nbdinfo --list 'nbds://" > listed
    grep -q 'export="web1-2001"' listed

    vcenter_with_two_disks
    replicated_to
    same live.img srv/dr/web1-2000
    same live2.img srv/dr/web1-2001
    guest_writes
    replicated_to
    same live.img srv/dr/web1-2000
    qemu-img compare -f raw -F qcow2 live.img backup/web1-2000.qcow2

    # Neither without a certificate nor with one of somebody else.
    mkdir nobody
    cp ca-cert.pem nobody/
    must_fail reached "nbds://localhost:$port/web1-2000?tls-certificates=$PWD/nobody"
    must_fail reached "nbd://localhost:$port/web1-2000"

    # The only copy: --to nbd.
    cp live2.img disk.img
    truncate -s "$SIZE" disk.img
    runs "    --to nbd 'nbds://"
    same disk.img srv/dr/web1-2000
}

@test "qemu-storage-daemon: one process for many images" {
    certificates
    on_a_port
    mkdir -p srv/dr
    qemu-img create -q -f qcow2 srv/dr/web1-2000.qcow2 "$SIZE"
    qemu-img create -q -f qcow2 srv/dr/web1-2001.qcow2 5M
    begins dr 'qemu-storage-daemon'
    until_reached dr "$(TLS_URI web1-2000)"
    vcenter_with_two_disks
    replicated_to
    guest_writes
    replicated_to
    stop dr
    qemu-img compare -f raw -F qcow2 live.img srv/dr/web1-2000.qcow2
    qemu-img compare -f raw -F qcow2 live2.img srv/dr/web1-2001.qcow2
}

@test "the same certificates by openssl; qemu-nbd for one image, and for one client" {
    PLACES+=(-e 's,dr\.example\.com,localhost,g')
    runs 'openssl req -x509'
    runs 'install -D -m 600 -t /etc/nbdkit-replicate'
    on_a_port
    mkdir -p srv/dr
    qemu-img create -q -f qcow2 srv/dr/web1-2000.qcow2 4M
    begins dr 'qemu-nbd --persistent --shared=0 --tls-creds=tls \'
    until_reached dr "$(TLS_URI web1-2000)"
    # What -A is for: base:allocation is there without it.
    nbdinfo "$(TLS_URI web1-2000)" > said
    grep -q base:allocation said
    must_fail grep allocation-depth said
    stop dr

    begins who '    --object authz-simple'
    until_reached who "$(TLS_URI web1-2000)"
    # Another client of the same authority.
    cp -r etc/nbdkit-replicate/tls other
    (
        cd other
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other.example.com \
            -addext extendedKeyUsage=clientAuth -keyout client-key.pem -out client.csr
        openssl x509 -req -in client.csr -CA ../ca-cert.pem -CAkey ../ca-key.pem -days 2 -copy_extensions copy -out client-cert.pem
    ) 2> /dev/null
    must_fail reached "nbds://localhost:$port/web1-2000?tls-certificates=$PWD/other"
    reached "$(TLS_URI web1-2000)"
}

@test "systemd finds nothing to complain of in the units, and starts nbdkit by the socket" {
    certificates
    mkdir -p units srv/dr
    example 'ListenStream'
    cp example.sh units/nbd-dr.socket
    example 'Description=Disks'
    cp example.sh units/nbd-dr.service
    if command -v systemd-analyze > /dev/null; then
        SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no "$PWD"/units/nbd-dr.{socket,service} > said 2>&1
        cat said
        must_fail grep nbd-dr said
    fi
    command -v systemd-socket-activate > /dev/null || skip "no systemd"
    truncate -s 1M srv/dr/web1-2000
    port=$(free_port)
    local command
    command=$(sed -n '/^ExecStart=/,/[^\\]$/p' units/nbd-dr.service | sed -e 's/^ExecStart=//' -e 's/\\$//' | tr '\n' ' ')
    # shellcheck disable=SC2086 # the words of the command
    systemd-socket-activate -l "127.0.0.1:$port" $command > dr.log 2>&1 3>&- &
    echo $! > dr.pid
    until_reached dr "$(TLS_URI web1-2000)"
    [ "$(cat reached)" = 1048576 ]
}
