# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate-recipes(7): tunnels through SSH and stunnel. The servers of both are on this computer.
load ../../lib
load manual

# needs PROGRAM: scripts/setup does not install openssh-server where it would be started.
needs() { PATH=$PATH:/usr/sbin command -v "$1" > /dev/null || skip "no $1"; }

# destination: web1-2000 of 16 MiB, served by nbdkit on 127.0.0.1:$port.
destination() {
    port=$(free_port)
    mkdir -p srv
    truncate -s 16M srv/web1-2000
    nbdkit -f -i 127.0.0.1 -p "$port" file dir=srv > dr.log 2>&1 3>&- &
    echo $! > dr.pid
    until_reached dr "nbd://127.0.0.1:$port/web1-2000"
    random_file disk.img 16M
}

# sshd_with FILE: an SSH server whose last lines are in FILE, for the user who runs the tests, and bin/ssh, which finds it.
sshd_with() {
    local server=$port
    port=$(free_port)
    if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi
    if [ ! -e key ]; then
        ssh-keygen -q -t ed25519 -N '' -f key
        ssh-keygen -q -t ed25519 -N '' -f host_key
    fi
    cat > sshd_config - "$1" <<END
ListenAddress 127.0.0.1:$port
HostKey $PWD/host_key
AuthorizedKeysFile $PWD/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
END
    "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$PWD/sshd_config" > sshd.log 2>&1 3>&- &
    echo $! > sshd.pid
    cat > ssh_config <<END
Host localhost
    Port $port
    IdentityFile $PWD/key
    IdentitiesOnly yes
    UserKnownHostsFile $PWD/known_hosts
END
    echo "[localhost]:$port $(cat host_key.pub)" > known_hosts
    printf '#!/bin/sh\nexec %q -F %q "$@"\n' "$(command -v ssh)" "$PWD/ssh_config" > bin/ssh
    chmod +x bin/ssh
    until_true 30 accepts "$port" || { cat sshd.log; return 1; }
    port=$server
}
accepts() { (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# ssh_refused COMMAND...: ssh says that it has failed.
ssh_refused() {
    run timeout 60 "$@"
    echo "$output"
    [ "$status" = 255 ]
}

# whole_and_increment: two runs by the command of the page, whose destination is reached through a tunnel.
whole_and_increment() {
    local seed
    for seed in 2 3; do
        PATH=$PWD/bin:$PATH bash -e command.sh
        same disk.img srv/web1-2000
        # Data, zeroes, and what is trimmed: all of that passes.
        random_file part 700K $seed
        dd if=part of=disk.img bs=1K seek=$((seed * 2000)) conv=notrunc status=none
        dd if=/dev/zero of=disk.img bs=1M seek=$((seed * 3)) count=1 conv=notrunc status=none
    done
    PATH=$PWD/bin:$PATH bash -e command.sh
    same disk.img srv/web1-2000
    [ "$(jq -c .owed web1.state)" = '[]' ]
}

# names: what the page calls by a name that is none of this computer's.
names() {
    PLACES+=(-e "s,nbd@[a-z]*\.example\.com,$(id -un)@localhost," -e "s,User nbd,User $(id -un)," -e 's,dr\.example\.com,localhost,g')
}

@test "through SSH: to the one port that is permitted, and nothing else" {
    needs sshd
    destination
    names
    PLACES+=(-e "s,10809,$port,")
    example 'Match User nbd'
    cp example.sh match
    sshd_with match
    begins tunnel '    -L '
    until_reached tunnel "nbd+unix:///web1-2000?socket=$PWD/dr.sock"
    # The size of the export.
    [ "$(cat reached)" = 16777216 ]
    example "    --also 'nbd+unix:///web1-2000?socket=/run/nbdkit"
    cp example.sh command.sh
    whole_and_increment
    PLACES+=(-e "s,/srv/dr/,/srv/," -e "s,$PWD/srv/dr/,$PWD/srv/," -e 's/ 25 50 100 200;/;/')
    runs 'truncate -s 200M'
    runs 'for size in' > carried 2>&1
    [ "$(grep -c '^[0-9]* MiB: ' carried)" = 3 ]

    # No other port, no shell, no port here that others can use.
    local other
    port=$(free_port)
    other=$port
    nbdkit -f -i 127.0.0.1 -p "$other" null > other.log 2>&1 3>&- &
    echo $! > other.pid
    until_reached other "nbd://127.0.0.1:$other/"
    sed "s,dr.sock:localhost:[0-9]*,other.sock:localhost:$other," tunnel.sh > other_tunnel.sh
    PATH=$PWD/bin:$PATH bash other_tunnel.sh > other_tunnel.log 2>&1 3>&- &
    echo $! > other_tunnel.pid
    until_true 30 [ -S other.sock ]
    must_fail reached "nbd+unix:///?socket=$PWD/other.sock"
    must_fail timeout 60 bin/ssh -o BatchMode=yes localhost true
    port=$(free_port)
    ssh_refused bin/ssh -N -o BatchMode=yes -o ExitOnForwardFailure=yes -R "localhost:$port:localhost:1" localhost
    # Nor without the key.
    sed 's,/key$,/host_key,' ssh_config > without
    ssh_refused ssh -F without -o BatchMode=yes localhost true
}

@test "a destination behind NAT: it connects, by ssh -R" {
    needs sshd
    destination
    names
    local server=$port here
    port=$(free_port)
    here=$port
    port=$server
    example 'PermitListen localhost'
    { echo 'PermitOpen none'; echo 'AllowTcpForwarding remote'; sed "s,10809,$here," example.sh; } > match
    sshd_with match
    PLACES+=(-e "s,localhost.10809:localhost.10809,localhost:$here:localhost:$port,")
    begins tunnel '    -R '
    until_reached tunnel "nbd://localhost:$here/web1-2000"
    example "    --also 'nbd+unix:///web1-2000?socket=/run/nbdkit"
    sed "s,nbd+unix:[^']*,nbd://localhost:$here/web1-2000," example.sh > command.sh
    whole_and_increment
    # It may listen nowhere else.
    port=$(free_port)
    ssh_refused bin/ssh -N -o BatchMode=yes -o ExitOnForwardFailure=yes -R "localhost:$port:localhost:1" localhost
}

# listens_as NAME TEXT: stunnel with the configuration of the page, in the foreground.
listens_as() {
    example "$2"
    { printf 'foreground = yes\npid =\n'; cat example.sh; } > "$1.conf"
    stunnel "$PWD/$1.conf" > "$1.log" 2>&1 3>&- &
    echo $! > "$1.pid"
}

@test "through stunnel, which verifies both sides" {
    needs stunnel
    destination
    names
    runs 'openssl req -x509' > openssl.log 2>&1
    runs 'install -D -m 600 -t /etc/nbdkit-replicate'
    local server=$port tls here
    port=$(free_port)
    tls=$port
    port=$(free_port)
    here=$port
    PLACES+=(-e "s,accept = 443,accept = 127.0.0.1:$tls," -e "s,connect = localhost.443,connect = 127.0.0.1:$tls,"
        -e "s,connect = localhost.10809,connect = 127.0.0.1:$server," -e "s,accept = localhost.10809,accept = 127.0.0.1:$here,")
    listens_as far 'accept = 443'
    listens_as near 'client = yes'
    until_reached near "nbd://127.0.0.1:$here/web1-2000"
    [ "$(cat reached)" = 16777216 ]
    example "    --also 'nbd+unix:///web1-2000?socket=/run/nbdkit"
    sed "s,nbd+unix:[^']*,nbd://127.0.0.1:$here/web1-2000," example.sh > command.sh
    whole_and_increment

    # Somebody without a certificate, and a server for another name.
    stop near
    cp near.conf whole.conf
    sed -i '/^cert =/d; /^key =/d' near.conf
    stunnel "$PWD/near.conf" > near.log 2>&1 3>&- &
    echo $! > near.pid
    until_true 30 accepts "$here"
    must_fail reached "nbd://127.0.0.1:$here/web1-2000"
    stop near
    sed 's/^checkHost = .*/checkHost = other.example.com/' whole.conf > near.conf
    stunnel "$PWD/near.conf" > near.log 2>&1 3>&- &
    echo $! > near.pid
    until_true 30 accepts "$here"
    must_fail reached "nbd://127.0.0.1:$here/web1-2000"
}
