# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate(1): its examples work.
load ../job
load manual
PAGE=nbdkit-replicate

# site: the vCenter of the examples and their further destinations are the simulated ones.
site() {
    vcenter
    destinations
    ln -s dr.sock dr-2000.sock
    mkdir etc
    cp vc.pass etc/
    PLACES+=(-e "s,server=vc.example.com user=[^ ]*,server=$SERVER user=$USER_NAME cafile=$CA,"
        -e "s,'nbds://dr.example.com/web1-{disk}','nbd+unix:///?socket=$PWD/dr-{disk}.sock',"
        -e "s,nbds://dr.example.com/web1,'$(uri dr)'," -e "s,nbds://cloud.example.net/web1,'$(uri cloud)',")
}

@test "use: the disk is read while it is fetched; then it is a replica, and the next run an increment" {
    site
    begins use 'nbdkit-replicate use --state web1.state'
    until_true 60 grep -q '^nbd+unix://' use.log || { cat use.log; return 1; }
    timeout 60 nbdcopy "$(grep '^nbd+unix://' use.log)" out.raw
    same live.img out.raw
    until_true 60 grep -q 'everything is here' use.log
    kill -INT "$(cat use.pid)"
    wait "$(cat use.pid)"
    rm use.pid
    cat use.log
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    [ "$(snapshots)" = 0 ]
    # A later day: what has changed, over what `use` has fetched.
    mv web1.qcow2 web1-mon.qcow2
    guest_writes
    runs '    --to qcow2 file=web1-tue.qcow2' > said 2>&1
    qemu-img compare -f raw -F qcow2 live.img web1-tue.qcow2
    grep -qE '[0-9.]+ MiB of 48\.0 MiB have changed' said
}

@test "a disk to an image and two servers, by each client; all disks" {
    site
    local client
    for client in nbdcopy qemu-img pull; do
        guest_writes ${#client}
        example '    --also nbds://cloud.example.net/web1'
        { sed '$s/$/ \\/' example.sh; echo "    --client $client"; } > run.sh
        PATH=$PWD/bin:$PATH bash -e run.sh
        qemu-img compare -f raw -F qcow2 live.img web1.qcow2
        same live.img dr.raw
        qemu-img compare -U -f raw -F qcow2 live.img cloud.qcow2
    done
    runs "    --to qcow2 'file=web1-{disk}.qcow2'"
    qemu-img compare -f raw -F qcow2 live.img web1-2000.qcow2
    same live.img dr.raw
    [ "$(snapshots)" = 0 ]
}

@test "the arguments from a file; what would be started" {
    site
    mkdir backup
    example '--state web1/'
    cp example.sh etc/web1
    PATH=$PWD/bin:$PATH nbdkit-replicate @etc/web1
    qemu-img compare -f raw -F qcow2 live.img backup/web1-2000.qcow2
    random_file disk.img 4M
    runs 'nbdkit-replicate --dry-run --state web1.state' > lines
    [ ! -e disk.qcow2 ]
    timeout 60 bash -e lines
    qemu-img compare -f raw -F qcow2 disk.img disk.qcow2
}

@test "each example of the page is run by a test, or the page says that it is not" {
    /usr/bin/python3 "$SOURCE/tests/system/manual/pod_examples.py" --rest "$SOURCE/man/$PAGE.pod" \
        "$SOURCE/tests/system/manual/command.bats"
}
