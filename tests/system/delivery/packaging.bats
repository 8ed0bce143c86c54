# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian package: its fields and its files are right, and the modules and the command in it work.
load ../job

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    package
    dpkg-deb -x ./*.deb root
}

prepare() {
    DEB=$(echo "$BATS_FILE_TMPDIR"/*.deb)
    ROOT=$BATS_FILE_TMPDIR/root
    MODULES=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/nbdkit
    NBDKIT=$(nbdkit --dump-config | sed -n 's/^version=//p')
}

package() { "$SOURCE/scripts/packaging/deb" --build "$BUILD" "$@"; }
field() { dpkg-deb -f "$DEB" "$1"; }
plugin() { echo "$ROOT$MODULES/plugins/nbdkit-$1-plugin.so"; }
filter() { echo "$ROOT$MODULES/filters/nbdkit-$1-filter.so"; }

@test "its name and its fields describe it" {
    version=$(meson introspect --projectinfo "$BUILD" | jq -r .version)
    [ "$(basename "$DEB")" = "nbdkit-replicate_${version}_$(dpkg --print-architecture).deb" ]
    [ "$(field Package)" = nbdkit-replicate ]
    [ "$(field Version)" = "$version" ]
    [ "$(field Architecture)" = "$(dpkg --print-architecture)" ]
    [[ "$(field Maintainer)" == "The nbdkit-replicate authors <"*">" ]]
    for module in vsphere qcow2 coalesce delta apply fanout pull; do
        grep -q "the \(plugin\|filter\) $module " <(field Description)
    done
    # In KiB, about the size of the files in it.
    size=$(du -sk --apparent-size "$ROOT" | cut -f1)
    [ "$(field Installed-Size)" -gt $((size * 8 / 10)) ]
    [ "$(field Installed-Size)" -lt $((size * 12 / 10 + 100)) ]
}

# fits VERSION: the package can be installed with this version of nbdkit.
fits() {
    local relations
    relations=$(field Depends | tr ',' '\n' | sed -n 's/^ *nbdkit (\(.*\))$/\1/p')
    [ "$(wc -l <<< "$relations")" = 2 ] || return 1
    while read -r relation version; do
        dpkg --compare-versions "$1" "$relation" "$version" || return 1
    done <<< "$relations"
}

@test "it needs the version of nbdkit that it was built for, of any Debian revision" {
    fits "$(dpkg-query -W -f '${Version}' nbdkit)"
    for revision in 0ubuntu1 1~bpo12+1 1+deb12u1 1+b1 99; do fits "$NBDKIT-$revision"; done
    next=${NBDKIT%.*}.$((${NBDKIT##*.} + 1))
    for other in "$next-1" "$next~rc1-1" "${NBDKIT%.*}.0.9-1" "$((${NBDKIT%%.*} + 1)).0-1" 1.0-1; do
        must_fail fits "$other"
    done
}

@test "it depends on the libraries and the programs that it uses" {
    field Depends
    dpkg-checkbuilddeps -d "$(field Depends)" /dev/null
    for package in libnbd0 libnbd-bin python3-libnbd python3 libstdc++6 libcurl4 libroaring0; do
        grep -qF ", $package (" <(field Depends)
    done
}

@test "it contains the modules, their manual pages and the command in their directories, and nothing else" {
    {
        for name in vsphere qcow2; do
            echo "-rw-r--r-- $MODULES/plugins/nbdkit-$name-plugin.so"
            echo "-rw-r--r-- /usr/share/man/man1/nbdkit-$name-plugin.1.gz"
        done
        for name in coalesce delta apply fanout pull; do
            echo "-rw-r--r-- $MODULES/filters/nbdkit-$name-filter.so"
            echo "-rw-r--r-- /usr/share/man/man1/nbdkit-$name-filter.1.gz"
        done
        echo "-rwxr-xr-x $MODULES/nbdkit-replicate/nbdkit-vsphere-vddk"
        echo "-rwxr-xr-x /usr/bin/nbdkit-replicate"
        echo "-rw-r--r-- /usr/share/man/man1/nbdkit-replicate.1.gz"
        echo "-rw-r--r-- /usr/share/man/man7/nbdkit-replicate-delta.7.gz"
        (cd "$SOURCE/scripts" && find nbdkit_replicate -name '*.py' -printf '-rw-r--r-- /usr/share/nbdkit-replicate/%p\n')
        echo "-rw-r--r-- /usr/lib/systemd/system/nbdkit-replicate@.service"
        echo "-rw-r--r-- /usr/lib/systemd/system/nbdkit-replicate@.timer"
        for name in changelog.gz copyright; do
            echo "-rw-r--r-- /usr/share/doc/nbdkit-replicate/$name"
        done
    } | sort > expected
    dpkg-deb -c "$DEB" > list
    grep -v ^d list | awk '{ print $1, substr($6, 2) }' | sort > found
    diff expected found
    must_fail grep -v '^[-a-z]* root/root ' list
    must_fail grep '^d' <(grep -v '^drwxr-xr-x ' list)

    dpkg-deb -e "$DEB" control
    (cd "$ROOT" && md5sum --check --quiet "$OLDPWD/control/md5sums")
    [ "$(wc -l < control/md5sums)" = "$(wc -l < found)" ]
    # Stripped.
    while read -r program; do nm "$program" 2>&1 | grep -q 'no symbols'; done < <(find "$ROOT$MODULES" -type f)
}

@test "its manual pages, copyright and changelog are valid" {
    for page in "$ROOT"/usr/share/man/man?/*.gz; do
        MANPAGER=cat MANWIDTH=80 man "$page" > page 2> warnings
        [ ! -s warnings ]
        name=$(basename "$page" .gz)
        grep -q "^ *${name%.*} - " page
        grep -q '^DESCRIPTION' page
    done
    # The license is that of the source tree.
    sed -e '1,/^License:/d' -e 's/^ //' -e 's/^\.$//' "$ROOT/usr/share/doc/nbdkit-replicate/copyright" > license
    diff <(tail -n "$(wc -l < license)" "$SOURCE/LICENSE") license
    [ "$(wc -l < license)" -gt 20 ]
    zcat "$ROOT/usr/share/doc/nbdkit-replicate/changelog.gz" > changelog
    [ "$(dpkg-parsechangelog -l changelog -S Version)" = "$(field Version)" ]
}

@test "two packages of one build are identical, in any environment" {
    mkdir again other
    (umask 077 && TZ=Asia/Tokyo LANG=C TMPDIR=$PWD package again)
    cmp "$DEB" again/*.deb
    [ "$(ls)" = $'again\nother' ]
    [ "$(SOURCE_DATE_EPOCH=1000000000 package other)" = "$(echo "$PWD"/other/*.deb)" ]
    must_fail cmp -s "$DEB" other/*.deb
    grep -q ' 2001-09-09 ' <(TZ=UTC dpkg-deb -c other/*.deb)
    [ "$(TZ=UTC dpkg-deb -c other/*.deb | awk '{ print $4 }' | sort -u)" = 2001-09-09 ]
}

@test "invalid arguments are refused, and no package is made" {
    mkdir out
    meson setup -Dtests=false tree "$SOURCE" > setup.log
    refuses "tree is not compiled: ninja -C tree" "$SOURCE/scripts/packaging/deb" --build tree out
    refuses "is not a build directory" "$SOURCE/scripts/packaging/deb" --build out out
    refuses "nowhere" package nowhere
    refuses "unknown option --fast" package --fast out
    refuses "more than one" package out tree
    refuses "needs a directory" "$SOURCE/scripts/packaging/deb" --build
    [ "$status" = 2 ]
    [ -z "$(ls out)" ]
    "$SOURCE/scripts/packaging/deb" --help | grep -q -- '--build DIRECTORY'
}

@test "nbdkit loads each of its modules" {
    for name in vsphere qcow2; do
        nbdkit "$(plugin $name)" --dump-plugin > dump
        grep -q "^name=$name\$" dump
        grep -q "^path=$(plugin $name)\$" dump
    done
    nbdkit "$(plugin vsphere)" --dump-plugin > dump
    grep -q "^vddk_helper=$(realpath "$ROOT")$MODULES/nbdkit-replicate/nbdkit-vsphere-vddk\$" dump
    for name in coalesce delta apply fanout pull; do
        nbdkit --filter="$(filter $name)" null --dump-plugin | grep -q '^name=null$'
        nbdkit --filter="$(filter $name)" null --help | grep -q "^filter: $name "
    done
}

# vddk: sets up a stand-in for VMware's library, which serves live.img to the helper process.
vddk() {
    mkdir -p standin/access standin/faults sdk/lib64
    ln -s ../live.img standin/disk
    ln -s "$BUILD/tests/vddk/libvixDiskLib.so.8.0.9" sdk/lib64/libvixDiskLib.so.8
    printf '%s\n' user=$USER_NAME password=s3cret "thumbprint=$(jq -r .thumbprint vcenter.json)" \
        vm=moref=vm-42 'path=[datastore1] web1/web1.vmdk' > standin/expect
    export VDDK_STANDIN=$PWD/standin
}

# replicate_now PARAMETERS...: one run of the command in the package, with the modules in it. PARAMETERS: of vsphere.
replicate_now() {
    timeout 120 "$ROOT/usr/bin/nbdkit-replicate" --build modules --state web1.state \
        --from "$(plugin vsphere)" server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" \
        vm=/DC0/vm/web1 disk=2000 since=@web1.state "$@" \
        --to qcow2 file=web1.qcow2 --also "$(uri dr)" fanout-name=dr --also "$(uri cloud)" fanout-name=cloud
}

@test "the command and the modules in it replicate a disk, and what changes on it" {
    # The layout of a build tree.
    mkdir -p modules/plugins/qcow2 modules/filters/{delta,coalesce,apply,fanout}
    ln -s "$(plugin qcow2)" modules/plugins/qcow2/
    for name in delta coalesce apply fanout; do ln -s "$(filter $name)" modules/filters/$name/; done

    vcenter
    destinations
    vddk
    PATH= "$ROOT/usr/bin/nbdkit-replicate" --dry-run --state web1.state \
        --from file live.img --to qcow2 file=web1.qcow2 --also "$(uri dr)" > lines
    grep -q -- '--filter=delta --filter=coalesce file live.img' lines
    grep -q -- '--filter=apply --filter=fanout qcow2 file=web1.qcow2' lines
    replicate_now --dry-run > lines
    for name in vsphere qcow2; do grep -q "/nbdkit-$name-plugin.so " lines; done
    for name in delta coalesce apply fanout; do grep -q "=$PWD/modules/.*/nbdkit-$name-filter.so " lines; done

    replicate_now transport=vddk libdir="$PWD/sdk"
    all_equal web1.qcow2
    guest_writes
    # The helper program in the package has loaded the library.
    grep -q ' InitEx ' standin/log
    must_fail grep VIOLATION standin/log
    replicate_now transport=https
    all_equal web1.qcow2
}
