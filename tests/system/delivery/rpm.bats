# SPDX-License-Identifier: BSD-3-Clause
#
# The RPM packages: their files, what they need, and what they do when they are installed and removed.
load ../../lib

export XZ_OPT=-0 # which is quick

setup_file() {
    command -v rpmbuild > /dev/null || return 0
    cd "$BATS_FILE_TMPDIR"
    "$SOURCE/scripts/packaging/rpm" --build "$BUILD" > list
}

prepare() {
    command -v rpmbuild > /dev/null || skip "no rpmbuild"
    RPMS=$BATS_FILE_TMPDIR
    VERSION=$(meson introspect --projectinfo "$BUILD" | jq -r .version)
    PLUGINS=$(pkg-config --variable=plugindir nbdkit)
    FILTERS=$(pkg-config --variable=filterdir nbdkit)
}

rpm_of() { echo "$RPMS/$1-$VERSION"-*.rpm; }
# ask PACKAGE OPTION...: what rpm tells of a package. (Debian's rpm has no database, and says so.)
ask() { rpm -qp "${@:2}" "$(rpm_of "$1")" 2> /dev/null; }
modules() { (cd "$SOURCE/${1}s" && for door in */"$1.cpp"; do dirname "$door"; done); }
# pages [NAME...]: those manual pages, as find prints them. rpm compresses them or does not.
pages() { sed -E 's,^/usr/share/man/man(.)/(.*)\.[0-9](\.gz)?$,\2(\1),'; }

@test "a package each for the command, the plugins and the filters, of the version of the tree" {
    [ "$(sed 's,.*/,,' "$RPMS/list" | sed "s/-$VERSION-.*//")" = "$(printf '%s\n' nbdkit-qcow2-plugin nbdkit-replicate \
        nbdkit-replicate-filters nbdkit-vsphere-plugin)" ]
    local name
    for name in $(modules plugin); do [ -e "$(rpm_of "nbdkit-$name-plugin")" ]; done
    for name in $(modules filter); do grep -q "^ \* $name " <(ask nbdkit-replicate-filters --info); done
    ask nbdkit-replicate --changelog | grep -q " - $VERSION-1\$"
    [ "$(ask nbdkit-replicate --queryformat '%{LICENSE}')" = BSD-3-Clause ]
}

@test "they contain the modules, their manual pages and the command in Fedora's directories, and nothing else" {
    {
        for name in $(modules plugin); do echo "$PLUGINS/nbdkit-$name-plugin.so"; done
        for name in $(modules filter); do echo "$FILTERS/nbdkit-$name-filter.so"; done
        (cd "$BUILD/man" && for page in *.[1578]; do echo "/usr/share/man/man${page##*.}/$page"; done) | pages
        echo "$(dirname "$PLUGINS")/nbdkit-replicate/nbdkit-vsphere-vddk"
        echo /usr/bin/nbdkit-replicate
        (cd "$SOURCE/scripts" && find nbdkit_replicate -name '*.py' -printf '/usr/share/nbdkit-replicate/%p\n')
        (cd "$SOURCE/scripts/systemd" && find . -name 'nbdkit-*' -printf '/usr/lib/systemd/system/%P\n')
        echo /usr/share/bash-completion/completions/nbdkit-replicate
        echo /usr/share/zsh/site-functions/_nbdkit-replicate
    } | sort > expected
    for rpm in "$RPMS"/*.rpm; do
        rpm -qp --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' "$rpm" 2> /dev/null
    done > all
    # What is told of the build, documents and licenses apart.
    grep -v '^[dl]' all | cut -d' ' -f3- | grep -vE '^/usr/(share/(doc|licenses)|lib/\.build-id)/' | pages | sort > found
    diff expected found
    must_fail grep -v ' root:root ' all
    must_fail grep -vE '^(d|-)rwxr-xr-x |^-rw-r--r-- |^l' all
    grep -q '^-rwxr-xr-x root:root /usr/bin/nbdkit-replicate$' all
    for name in README.md CHANGES.md SECURITY.md $(cd "$SOURCE/scripts" && find examples -type f); do
        grep -qF " /usr/share/doc/nbdkit-replicate/$name" all
    done
    grep -qF /examples/kubernetes/ all
    [ "$(grep -c '/usr/share/licenses/.*/LICENSE$' all)" = 4 ]
    grep -q '^drwxr-xr-x root:root /etc/nbdkit-replicate$' all
    # Each file is in one of them.
    [ -z "$(grep -v '^d' all | sort | uniq -d)" ]
}

@test "the filters need the very version of nbdkit, the plugins any, the command all of them" {
    ask nbdkit-replicate-filters --requires | grep -qE "^nbdkit-server\(.*\) = $(pkg-config --modversion nbdkit)\$"
    local name
    for name in $(modules plugin); do
        ask "nbdkit-$name-plugin" --requires | grep -qE '^nbdkit-server\(.*\) >= 1\.32$'
        ask nbdkit-replicate --requires | grep -qE "^nbdkit-$name-plugin\(.*\) = $VERSION-1"
    done
    ask nbdkit-replicate --requires > needed
    grep -qE "^nbdkit-replicate-filters\(.*\) = $VERSION-1" needed
    for name in 'python3 >= 3.11' 'python3-libnbd >= 1.14' 'libnbd >= 1.14' nbdkit-basic-plugins; do grep -qx "$name" needed; done
    for name in libnbd libcurl; do ask nbdkit-vsphere-plugin --requires | grep -q "^$name\.so"; done
    # What the spec needs to be built is what meson.build looks for.
    sed -nE "s/.*= dependency\('([a-z0-9_]+)'.*/\1/p" "$SOURCE/meson.build" "$SOURCE"/plugins/*/meson.build |
        grep -vxE 'threads|catch2' | sort -u > looked_for
    grep -q nbdkit looked_for
    sed -nE 's/^BuildRequires: *pkgconfig\((.*)\).*/\1/p' "$SOURCE/scripts/packaging/nbdkit-replicate.spec" |
        grep -vx roaring | sort > needed # which is looked for by its header
    diff looked_for needed
}

@test "when it is installed and removed systemd is told of the timers, and of nothing while it is upgraded" {
    ask nbdkit-replicate --scripts > scripts
    mkdir root
    # helper: systemd's own, which says what it is told.
    printf '#!/bin/sh\necho "$@" >> %s\n' "$PWD/told" > helper
    chmod +x helper
    local part
    for part in postinstall preuninstall; do
        sed -n "/^$part scriptlet/,/^[a-z]* \(scriptlet\|program\)/p" scripts | sed '1d; /^[a-z]* \(scriptlet\|program\)/d' |
            sed "s,/usr/lib/systemd/systemd-update-helper,$PWD/helper,g" > $part.sh
        [ -s $part.sh ]
    done
    timers='nbdkit-replicate@.timer nbdkit-replicate-plan@.timer'
    (cd "$SOURCE/scripts/systemd" && ls $timers)
    sh postinstall.sh 1 # the first
    [ "$(cat told)" = "install-system-units $timers" ]
    rm told
    sh postinstall.sh 2 # an upgrade
    sh preuninstall.sh 1
    [ ! -e told ]
    sh preuninstall.sh 0 # the last
    [ "$(cat told)" = "remove-system-units $timers" ]
    # Where there is no systemd nothing is done.
    rm helper told
    sh postinstall.sh 1
    sh preuninstall.sh 0
    [ ! -e told ]
    for name in nbdkit-replicate-filters nbdkit-qcow2-plugin nbdkit-vsphere-plugin; do [ -z "$(ask $name --scripts)" ]; done
}

@test "the modules in them load, and the command says its version" {
    mkdir root
    for rpm in "$RPMS"/*.rpm; do rpm2archive - < "$rpm" | tar -xz -C root; done
    root/usr/bin/nbdkit-replicate --version | grep -qF "$VERSION"
    for name in $(modules plugin); do nbdkit "$PWD/root$PLUGINS/nbdkit-$name-plugin.so" --dump-plugin | grep -qx "name=$name"; done
    for name in $(modules filter); do
        nbdkit --filter="$PWD/root$FILTERS/nbdkit-$name-filter.so" null --help | grep -q "^filter: $name "
    done
}

@test "the source package has the tree, and can be built from" {
    mkdir out
    "$SOURCE/scripts/packaging/rpm" --source out
    rpm2archive - < "$(echo out/*.src.rpm)" | tar -xz
    tar -tf "nbdkit-replicate-$VERSION.tar.xz" > files
    for name in meson.build LICENSE scripts/packaging/nbdkit-replicate.spec plugins/qcow2/plugin.cpp; do
        grep -qx "nbdkit-replicate-$VERSION/$name" files
    done
    must_fail grep -q "^nbdkit-replicate-$VERSION/build" files
    refuses "is not a build directory" "$SOURCE/scripts/packaging/rpm" --build out out
    refuses "unknown option --fast" "$SOURCE/scripts/packaging/rpm" --fast out
}
