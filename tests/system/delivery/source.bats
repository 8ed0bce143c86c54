# SPDX-License-Identifier: BSD-3-Clause
#
# The sources: a tarball of meson dist, and a machine without what only the tests need.
load ../../lib

# in_git: the files that git knows, below the source directory.
in_git() {
    git -C "$SOURCE" ls-files 2> /dev/null | sort > git.files
    [ -s git.files ] || skip "this tree is no git repository"
}

@test "every file that the build has read is in git" {
    in_git
    {
        meson introspect "$BUILD" --buildsystem-files | jq -r '.[]'
        meson introspect "$BUILD" --targets | jq -r '.[].target_sources[]?.sources[]?'
        # The headers that the compiler has read. (A build without any has not been made by ninja.)
        (cd "$BUILD" && ninja -t deps | sed -n 's/^    //p' | sort -u | xargs realpath -m)
    } | sort -u > read.files
    grep -q '\.hpp$' read.files
    grep "^$(realpath "$SOURCE")/" read.files | grep -v "^$(realpath "$BUILD")/" | grep -v '/\.' |
        sed "s,^$(realpath "$SOURCE")/,," | sort -u > needed.files
    [ "$(wc -l < needed.files)" -gt 300 ]
    comm -23 needed.files git.files > missing.files
    cat missing.files
    [ ! -s missing.files ]
}

@test "meson dist: the tarball has what git has, and can be configured" {
    in_git
    version=$(meson introspect --projectinfo "$BUILD" | jq -r .version)
    # Of what is committed.
    meson setup -Dtests=disabled build "$SOURCE" > setup.log
    meson dist -C build --no-tests --allow-dirty --formats xztar > dist.log 2>&1 || { cat dist.log; false; }
    tar -xf "build/meson-dist/nbdkit-replicate-$version.tar.xz"
    cd "nbdkit-replicate-$version"
    diff <(git -C "$SOURCE" ls-tree -r --name-only HEAD | sort) <(find . ! -type d -printf '%P\n' | sort)
    meson setup -Dtests=disabled build > ../again.log
    ninja -C build -n > ../would.log
    grep -q 'nbdkit-fanout-filter.so' ../would.log
    # The version is told by each who has it.
    grep -q "^VERSION = \"$version\"" scripts/nbdkit_replicate/__init__.py
    grep -q "^Version: *$version\$" scripts/packaging/nbdkit-replicate.spec
    grep -q "^## $version\$" CHANGES.md
    grep -q "^nbdkit-replicate ($version-" debian/changelog
}

@test "without Catch2 there are no tests, and that is no error" {
    mkdir packages
    IFS=: read -ra directories <<< "$(pkg-config --variable pc_path pkg-config)"
    for directory in "${directories[@]}"; do
        for file in "$directory"/*.pc; do
            case "$file" in *catch2* | *'*.pc') ;; *) ln -sf "$file" packages/ ;; esac
        done
    done
    # CMake would find it, too.
    printf '[binaries]\ncmake = %s\n' "'/bin/false'" > native
    PKG_CONFIG_LIBDIR=$PWD/packages meson setup --native-file native build "$SOURCE" > setup.log || { cat setup.log; false; }
    grep -q 'dependency catch2 found: NO' setup.log
    [ "$(meson introspect build --tests | jq 'map(select(.suite[] | test("unit|modules"))) | length')" = 0 ]
    ninja -C build -n > would.log
    grep -q 'nbdkit-fanout-filter.so' would.log
    must_fail grep -qE "catch_main|tests/unit" would.log
    # Who wants the tests is told that they cannot be had.
    PKG_CONFIG_LIBDIR=$PWD/packages refuses catch2 meson setup --native-file native -Dtests=enabled other "$SOURCE"
}
