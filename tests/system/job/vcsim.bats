# SPDX-License-Identifier: BSD-3-Clause
#
# Replications from vcsim, VMware's own simulator, whose understanding of the requests is independent of this project.
# Skipped if it cannot be built (tests/vcenter/vcsim/build).
load ../job

VCENTER=vcsim

setup_file() {
    local status=0
    timeout 1500 "$SOURCE/tests/vcenter/vcsim/build" "$BUILD/tests/vcsim/vcsim" \
        > "$BATS_FILE_TMPDIR/build.log" 2>&1 || status=$?
    echo "$status" > "$BATS_FILE_TMPDIR/built"
}

prepare() {
    case $(cat "$BATS_FILE_TMPDIR/built") in
        0) ;;
        77) skip "$(cat "$BATS_FILE_TMPDIR/build.log")" ;;
        *) cat "$BATS_FILE_TMPDIR/build.log"; return 1 ;;
    esac
}

@test "from vcsim: nbdcopy" { whole_then_increment nbdcopy; }
@test "from vcsim: qemu-img convert -n" { whole_then_increment qemu-img; }

@test "from vcsim: a wrong password and an unknown VM are refused" {
    vcenter
    printf wrong > wrong.pass
    refuses "password" timeout 60 nbdkit -f -U s.sock "$VSPHERE" cafile="$CA" server="$SERVER" \
        user=$USER_NAME password=+wrong.pass vm=/DC0/vm/web1
    refuses "/DC0/vm/nobody" timeout 60 nbdkit -f -U s.sock "$VSPHERE" cafile="$CA" \
        server="$SERVER" user=$USER_NAME password=+vc.pass vm=/DC0/vm/nobody
    [ "$(snapshots)" = 0 ]
}
