# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian package: its fields and its files are right, and the modules and the command in it work.
load ../job

export DPKG_DEB_COMPRESSOR_LEVEL=0 # which is quick

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    package > list
    local deb
    for deb in *.deb; do dpkg-deb -x "$deb" root; done
}

prepare() {
    DEBS=$BATS_FILE_TMPDIR
    ROOT=$BATS_FILE_TMPDIR/root
    MODULES=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/nbdkit
    NBDKIT=$(nbdkit --dump-config | sed -n 's/^version=//p')
}

package() { "$SOURCE/scripts/packaging/deb" --build "$BUILD" "$@"; }
deb() { echo "$DEBS/$1"_*.deb; }
# field PACKAGE NAME
field() { dpkg-deb -f "$(deb "$1")" "$2"; }
plugin() { echo "$ROOT$MODULES/plugins/nbdkit-$1-plugin.so"; }
filter() { echo "$ROOT$MODULES/filters/nbdkit-$1-filter.so"; }
# The names of the modules of a kind, plugin or filter, in the tree.
modules() { (cd "$SOURCE/${1}s" && for door in */"$1.cpp"; do dirname "$door"; done); }

@test "a package each for the command, the plugins and the filters, of the version of the tree" {
    version=$(meson introspect --projectinfo "$BUILD" | jq -r .version)
    [ "$(dpkg-parsechangelog -l "$SOURCE/debian/changelog" -S Version)" = "$version-1" ]
    grep -q "^## $version\$" "$SOURCE/CHANGES.md"
    expected="nbdkit-filters-replicate nbdkit-replicate $(modules plugin | sed 's/^/nbdkit-plugin-/' | tr '\n' ' ')"
    [ "$(for deb in "$DEBS"/*.deb; do dpkg-deb -f "$deb" Package; done | sort | xargs)" = "$(xargs -n1 <<< "$expected" | sort | xargs)" ]
    [ "$(sort "$DEBS/list")" = "$(ls "$DEBS"/*.deb | sort)" ]
    for deb in "$DEBS"/*.deb; do
        [ "$(dpkg-deb -f "$deb" Version)" = "$version-1" ]
        [[ "$(dpkg-deb -f "$deb" Maintainer)" == "The nbdkit-replicate authors <"*">" ]]
    done
    for module in $(modules filter); do grep -q "^ *\* $module " <(field nbdkit-filters-replicate Description); done
}

@test "lintian has nothing to say of them" {
    lintian --allow-root --fail-on warning,error "$DEBS"/*.deb > said || { cat said; false; }
    [ ! -s said ]
}

# fits VERSION: the filters can be installed with this version of nbdkit.
fits() {
    local relations
    relations=$(field nbdkit-filters-replicate Depends | tr ',' '\n' | sed -n 's/^ *nbdkit (\(.*\))$/\1/p')
    [ "$(wc -l <<< "$relations")" = 2 ] || return 1
    while read -r relation version; do
        dpkg --compare-versions "$1" "$relation" "$version" || return 1
    done <<< "$relations"
}

@test "the filters need the version of nbdkit that they were built for, of any Debian revision" {
    fits "$(dpkg-query -W -f '${Version}' nbdkit)"
    for revision in 0ubuntu1 1~bpo12+1 1+deb12u1 1+b1 99; do fits "$NBDKIT-$revision"; done
    next=${NBDKIT%.*}.$((${NBDKIT##*.} + 1))
    for other in "$next-1" "$next~rc1-1" "${NBDKIT%.*}.0.9-1" "$((${NBDKIT%%.*} + 1)).0-1" 1.0-1; do
        must_fail fits "$other"
    done
    # Plugins work with any.
    for name in $(modules plugin); do grep -qF 'nbdkit (>= 1.32)' <(field "nbdkit-plugin-$name" Depends); done
}

@test "they depend on the libraries and the programs that they use" {
    for deb in "$DEBS"/*.deb; do
        depends=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' | grep -v '^ *nbdkit-' | paste -sd,)
        dpkg-checkbuilddeps -d "$depends" /dev/null
    done
    for package in libnbd-bin python3-libnbd python3; do grep -qF "$package (" <(field nbdkit-replicate Depends); done
    for package in libstdc++6 libcurl4 libnbd0; do grep -q "$package" <(field nbdkit-plugin-vsphere Depends); done
    grep -q libroaring <(field nbdkit-filters-replicate Depends)
}

@test "they contain the modules, their manual pages and the command in their directories, and nothing else" {
    {
        for kind in plugin filter; do
            for name in $(modules $kind); do
                echo "-rw-r--r-- $MODULES/${kind}s/nbdkit-$name-$kind.so"
                echo "-rw-r--r-- /usr/share/man/man1/nbdkit-$name-$kind.1.gz"
            done
        done
        echo "-rwxr-xr-x $MODULES/nbdkit-replicate/nbdkit-vsphere-vddk"
        echo "-rwxr-xr-x /usr/bin/nbdkit-replicate"
        (cd "$BUILD/man" && for page in nbdkit-replicate*.[1578]; do
            echo "-rw-r--r-- /usr/share/man/man${page##*.}/$page.gz"
        done)
        (cd "$SOURCE/scripts" && find nbdkit_replicate -name '*.py' -printf '-rw-r--r-- /usr/share/nbdkit-replicate/%p\n')
        (cd "$SOURCE/scripts/systemd" && find . -name 'nbdkit-*' -printf '-rw-r--r-- /usr/lib/systemd/system/%P\n')
        echo "-rw-r--r-- /usr/share/bash-completion/completions/nbdkit-replicate"
        echo "-rw-r--r-- /usr/share/zsh/vendor-completions/_nbdkit-replicate"
    } | sort > expected
    for deb in "$DEBS"/*.deb; do dpkg-deb -c "$deb"; done > list
    grep -v ^d list | awk '{ print $1, substr($6, 2) }' | grep -v ' /usr/share/doc/' | sort > found
    diff expected found
    for deb in "$DEBS"/*.deb; do
        name=$(dpkg-deb -f "$deb" Package)
        [ -s "$ROOT/usr/share/doc/$name/copyright" ]
    done
    # dpkg compresses what is long.
    while read -r name; do
        ls "$ROOT/usr/share/doc/nbdkit-replicate/$name" "$ROOT/usr/share/doc/nbdkit-replicate/$name.gz" 2> /dev/null | grep -q .
    done < <(cd "$SOURCE/scripts" && find examples -type f && echo README.md && echo SECURITY.md)
    must_fail grep -v '^[-a-z]* root/root ' list
    must_fail grep '^d' <(grep -v '^drwxr-xr-x ' list)
    # Stripped.
    while read -r program; do nm "$program" 2>&1 | grep -q 'no symbols'; done < <(find "$ROOT$MODULES" -type f)
}

@test "its manual pages, copyright and changelog are valid" {
    for page in "$ROOT"/usr/share/man/man?/*.gz; do
        # Not justified: groff 1.23 warns of a line that it cannot stretch.
        MANPAGER=cat MANWIDTH=80 man --nj "$page" > page 2> warnings
        [ ! -s warnings ]
        name=$(basename "$page" .gz)
        grep -q "^ *${name%.*} - " page
        grep -q '^DESCRIPTION' page
    done
    # The license is that of the source tree.
    sed -e '1,/^License:/d' -e 's/^ //' -e 's/^\.$//' "$ROOT/usr/share/doc/nbdkit-replicate/copyright" > license
    diff <(tail -n "$(wc -l < license)" "$SOURCE/LICENSE") license
    [ "$(wc -l < license)" -gt 20 ]
    zcat "$ROOT/usr/share/doc/nbdkit-replicate/changelog.Debian.gz" > changelog
    [ "$(dpkg-parsechangelog -l changelog -S Version)" = "$(field nbdkit-replicate Version)" ]
}

@test "two packages of one build are identical, in any environment" {
    mkdir again
    (umask 077 && TZ=Asia/Tokyo LANG=C TMPDIR=$PWD package again)
    [ "$(ls again | wc -l)" = "$(ls "$DEBS"/*.deb | wc -l)" ]
    for deb in again/*.deb; do cmp "$deb" "$DEBS/${deb#again/}"; done
    [ "$(ls)" = again ]
}

@test "invalid arguments are refused, and no package is made" {
    mkdir out
    meson setup -Dtests=disabled tree "$SOURCE" > setup.log
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
    for name in $(modules plugin); do
        nbdkit "$(plugin $name)" --dump-plugin > dump
        grep -q "^name=$name\$" dump
        grep -q "^path=$(plugin $name)\$" dump
    done
    nbdkit "$(plugin vsphere)" --dump-plugin > dump
    grep -q "^vddk_helper=$(realpath "$ROOT")$MODULES/nbdkit-replicate/nbdkit-vsphere-vddk\$" dump
    for name in $(modules filter); do
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
