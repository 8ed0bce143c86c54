# SPDX-License-Identifier: BSD-3-Clause
load ../lib

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
    ! grep -rl 'include.*nbdkit' plugins filters common --include='*.cpp' --include='*.hpp' |
        grep -Ev '/(plugin|filter)\.cpp$|^common/nbdkit/'
    for module in plugins/* filters/*; do
        [ -d "$module" ] || continue
        ! grep -rhE '#include "(plugins|filters)/' "$module" | grep -v "$module/"
    done
}
