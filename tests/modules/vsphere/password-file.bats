# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. The file of password=+FILE, and a file descriptor.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "the line of a password file may end in LF, CR LF or nothing" {
    vc
    local host user=user=administrator@vsphere.local
    host=$(vcenter_fact vc host)
    for end in '\n' '\r\n' '' '\r'; do
        printf "s3cret$end" > pass.txt
        SERVER=(server="$host" "$user" password=+"$PWD/pass.txt")
        once disk=2001 -- 'nbdinfo --size "$uri"'
        SERVER=(server="$host" "$user" password=-9)
        once disk=2001 -- 'nbdinfo --size "$uri"' 9< pass.txt
    done
    # Only at the end, and only once.
    for text in '\rs3cret' 's3cret\r\r\n' 's3cret \r\n'; do
        printf "$text" > pass.txt
        fails 'check user= and password=' server="$host" "$user" password=+"$PWD/pass.txt" "$TRUST" "$VM"
    done
}
