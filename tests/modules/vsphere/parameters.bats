# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Parameters and credentials that are refused.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "each wrong parameter is an error of one line, and no snapshot is left" {
    vc
    local user=user=administrator@vsphere.local host
    host=$(vcenter_fact vc host)
    fails 'check user= and password=' server="$host" "$user" password=wrong "$TRUST" "$VM"
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=/Europe/DC0/vm/web2
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=web2
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=uuid=11111111-2222-3333-4444-555555555555
    fails 'the object is gone' "${SERVER[@]}" "$TRUST" vm=moref=vm-999
    fails 'it has 2000 ("Hard disk 1"), 2001' "${SERVER[@]}" "$TRUST" "$VM" disk=2005
    fails 'is not trusted' "${SERVER[@]}" "$VM"
    fails 'cannot connect to 127.0.0.1:1 ' server=127.0.0.1:1 "$user" password=x "$TRUST" "$VM"
    fails 'must be a number between 1 and 8' "${SERVER[@]}" "$TRUST" "$VM" connections=9
    fails 'must be full or fail' "${SERVER[@]}" "$TRUST" "$VM" on-reset=maybe
    fails 'must be a changeId' "${SERVER[@]}" "$TRUST" "$VM" since=yesterday
    fails 'vm= is missing' "${SERVER[@]}" "$TRUST"
    fails 'password= is missing' server="$host" "$user" "$TRUST" "$VM"
    fails 'exclude each other' "${SERVER[@]}" "$TRUST" "$VM" insecure=yes
    fails 'must be auto, vddk, https or nbd' "${SERVER[@]}" "$TRUST" "$VM" transport=ftp
    fails 'HOST or HOST:PORT' server=https://vc/ "$user" password=x "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 0 ]
}

@test "the server is verified by a SHA-1 or SHA-256 thumbprint" {
    vc
    TRUST=thumbprint=$(vcenter_fact vc thumbprint)
    once disk=2001 -- 'nbdcopy "$uri" out.img'
    same two.img out.img
    TRUST=thumbprint=$(vcenter_fact vc thumbprint_sha256)
    once disk=2001 -- 'nbdinfo --size "$uri"'
    local logins
    logins=$(of "s['logins']")
    fails "has the thumbprint $(vcenter_fact vc thumbprint), not AA:" "${SERVER[@]}" "$VM" \
        thumbprint=AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA
    # Every byte counts, the first and the last.
    local kind right wrong
    for kind in thumbprint thumbprint_sha256; do
        right=$(vcenter_fact vc $kind)
        for wrong in "${right%?}$(tr 0-9A-F 1-9A-F0 <<< "${right: -1}")" "$(tr 0-9A-F 1-9A-F0 <<< "${right:0:1}")${right:1}"; do
            fails "has the thumbprint $right, not $wrong: it is another" "${SERVER[@]}" "$VM" thumbprint="$wrong"
        done
    done
    fails 'thumbprint=12:34: must be' "${SERVER[@]}" "$VM" thumbprint=12:34
    [ "$(of "s['logins']")" = "$logins" ]
    TRUST=insecure=yes
    once disk=2001 -- 'nbdinfo --size "$uri"'
}

@test "a proxy of the environment is not used: whole disks would go through it" {
    vc
    https_proxy=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 \
        once disk=2001 -- 'nbdcopy "$uri" out.img'
    same two.img out.img
}
