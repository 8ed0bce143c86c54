# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

@test "each module loads, and describes itself" {
    for plugin in "$QCOW2" "$VSPHERE"; do
        nbdkit "$plugin" --dump-plugin | grep -q '^thread_model=parallel$'
        nbdkit "$plugin" --help > /dev/null
    done
    for filter in "$COALESCE" "$DELTA" "$APPLY" "$FANOUT"; do
        nbdkit --filter="$filter" null --help > /dev/null
    done
}

@test "a module shows nbdkit one symbol and no other" {
    for module in "$QCOW2" "$VSPHERE"; do
        [ "$(nm -D --defined-only "$module" | awk '{print $3}')" = plugin_init ]
    done
    for module in "$COALESCE" "$DELTA" "$APPLY" "$FANOUT"; do
        [ "$(nm -D --defined-only "$module" | awk '{print $3}')" = filter_init ]
    done
}

@test "no room includes nbdkit, no module includes another" {
    cd "$SOURCE"
    # The door is plugin.cpp or filter.cpp, and beside it what says that it is a part of it.
    grep -rl 'include.*nbdkit' plugins filters common --include='*.cpp' --include='*.hpp' |
        grep -Ev '/(plugin|filter)\.cpp$|^common/nbdkit/' > "$BATS_TEST_TMPDIR/found" || true
    while read -r file; do
        head -4 "${file%.*}.hpp" | grep -q 'A part of the door\.'
    done < "$BATS_TEST_TMPDIR/found"
    # No room includes a part of the door.
    grep -rl 'A part of the door\.' plugins filters --include='*.hpp' > "$BATS_TEST_TMPDIR/door"
    grep -rlFf <(sed 's/.*/#include "&"/' "$BATS_TEST_TMPDIR/door") plugins filters > "$BATS_TEST_TMPDIR/found"
    [ -z "$(grep -Ev '/(plugin|filter|parameters)\.cpp$' "$BATS_TEST_TMPDIR/found")" ]
    for module in plugins/* filters/*; do
        [ -d "$module" ] || continue
        grep -rhE '#include "(plugins|filters)/' "$module" > "$BATS_TEST_TMPDIR/found"
        [ -z "$(grep -v "$module/" "$BATS_TEST_TMPDIR/found")" ]
    done
}

# parameters_in_help plugin|filter NAME MODULE-ARGUMENTS...
parameters_in_help() {
    nbdkit "${@:3}" --help | sed -n "/^$1: $2 /,/^\$/p" | grep -oE '^\[?[a-z0-9-]+=' | tr -d '[=' | sort -u
}
parameters_in_page() {
    grep -oE '^=item (\[)?B<(\[)?[a-z0-9-]+=' "$SOURCE/man/nbdkit-$2-$1.pod" | grep -oE '[a-z0-9-]+=' | tr -d = | sort -u
}

@test "the help and the manual page name the same parameters" {
    local name
    for name in qcow2 vsphere; do
        [ -n "$(parameters_in_page plugin $name)" ]
        diff <(parameters_in_help plugin $name "$BUILD/plugins/$name/nbdkit-$name-plugin.so") \
            <(parameters_in_page plugin $name)
    done
    for name in coalesce delta apply fanout; do
        [ -n "$(parameters_in_page filter $name)" ]
        diff <(parameters_in_help filter $name --filter="$BUILD/filters/$name/nbdkit-$name-filter.so" null) \
            <(parameters_in_page filter $name)
    done
}

@test "meson install puts each module where nbdkit looks for it, and its page into man" {
    DESTDIR=$BATS_TEST_TMPDIR/root meson install -C "$BUILD" --no-rebuild > install.log
    root=$BATS_TEST_TMPDIR/root
    for name in qcow2 vsphere; do
        nbdkit "$root$(pkg-config --variable=plugindir nbdkit)/nbdkit-$name-plugin.so" --dump-plugin |
            grep -q "^name=$name\$"
        [ -s "$(find "$root" -path "*/man1/nbdkit-$name-plugin.1")" ]
    done
    nbdkit "$root$(pkg-config --variable=plugindir nbdkit)/nbdkit-vsphere-plugin.so" --dump-plugin |
        grep -qE "^vddk_helper=$(realpath "$root")/.*/nbdkit-replicate/nbdkit-vsphere-vddk\$"
    for name in coalesce delta apply fanout; do
        nbdkit --filter="$root$(pkg-config --variable=filterdir nbdkit)/nbdkit-$name-filter.so" \
            null --dump-plugin | grep -q '^name=null$'
        [ -s "$(find "$root" -path "*/man1/nbdkit-$name-filter.1")" ]
    done
    [ -s "$(find "$root" -path '*/man7/nbdkit-replicate-delta.7')" ]
    "$(find "$root" -path '*/bin/nbdkit-replicate')" --help | grep -q '^usage: nbdkit-replicate '
    [ -s "$(find "$root" -path '*/man1/nbdkit-replicate.1')" ]
}

@test "systemd finds nothing to complain of" {
    command -v systemd-analyze > /dev/null || skip "no systemd"
    DESTDIR=$BATS_TEST_TMPDIR/root meson install -C "$BUILD" --no-rebuild > install.log
    mkdir units
    cp "$(find "$BATS_TEST_TMPDIR/root" -name 'nbdkit-replicate@.service')" \
        "$(find "$BATS_TEST_TMPDIR/root" -name 'nbdkit-replicate@.timer')" units
    # It looks for the program and its manual page, which are not installed here.
    sed -i 's,^ExecStart=nbdkit-replicate,ExecStart=/bin/true,' units/*.service
    grep -q '^ExecStart=/bin/true @' units/*.service
    SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no "$PWD"/units/nbdkit-replicate@web1.{service,timer} \
        > said 2>&1
    [ -z "$(grep nbdkit said)" ]
}

@test "the help of nbdkit-replicate and its manual page name the same options" {
    diff <("$SOURCE/scripts/nbdkit-replicate" --help | sed -n '/^options:/,$p' | grep -oE '^ .*' |
            grep -oE '(^|[ ,])--?[a-z][a-z-]*' | grep -oE -- '-.*' | sort -u) \
        <(grep '^=item B<-' "$SOURCE/man/nbdkit-replicate.pod" | grep -oE 'B<-[a-z-]+' | cut -c3- | sort -u)
}
