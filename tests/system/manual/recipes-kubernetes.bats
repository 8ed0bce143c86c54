# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/examples/kubernetes: the manifests are valid as far as can be said without a cluster, and what they run works.
load ../job
load manual

check() { /usr/bin/python3 "$SOURCE/tests/system/manual/manifests.py" "${1:-$SOURCE/scripts/examples/kubernetes/replicate.yaml}"; }

# spoiled TEXT EXPRESSION: with that change by sed the check fails, and says TEXT.
spoiled() {
    sed "$2" "$SOURCE/scripts/examples/kubernetes/replicate.yaml" > spoiled.yaml
    must_fail cmp -s spoiled.yaml "$SOURCE/scripts/examples/kubernetes/replicate.yaml"
    refuses "$1" check spoiled.yaml
}

@test "the manifests are those of the API, and name each other" {
    check > pod.json
    spoiled "has no restartPolcy" 's/restartPolicy/restartPolcy/'
    spoiled "must be int" 's/completions: 4/completions: four/'
    spoiled "must not be \`None\`" '/schedule:/d'
    spoiled "KeyError: 'plan'" 's/^  name: plan/  name: plans/'
    spoiled "AssertionError" 's/claimName: backup/claimName: images/'
}

@test "four pods do a plan together, each machine once" {
    local i given=()
    for i in 1 2 3 4 5 6; do
        random_file "disk$i.img" 1M "$i"
        if [ "$i" -gt 1 ]; then given+=(--vm "/DC0/vm/production/web$i=vm-$((41 + i))" --disk 2000="$PWD/disk$i.img"); fi
    done
    ln -s disk1.img live.img
    VM=/DC0/vm/production/web1 vcenter "${given[@]}"
    check > pod.json
    mkdir backup
    jq -r '.files["/etc/nbdkit-replicate/prod.toml"]' pod.json |
        sed -e "s,\"vc.example.com\",\"$SERVER\"," -e "s,user = .*,user = \"$USER_NAME\"," -e "s,\"/backup/,\"$PWD/backup/,g" \
            -e "s,/etc/vcenter/vc.pass,$PWD/vc.pass," -e "s,/etc/vcenter/vc.pem,$CA," > prod.toml
    [ "$(jq .shards pod.json)" = 4 ]
    for i in 0 1 2 3; do
        # As Kubernetes expands $(NAME).
        mapfile -t arguments < <(jq -r --arg i "$i" '.args[] | gsub("\\$\\(JOB_COMPLETION_INDEX\\)"; $i)' pod.json)
        bin/nbdkit-replicate "${arguments[@]/\/etc\/nbdkit-replicate/$PWD}"
    done
    for i in 1 2 3 4 5 6; do
        [ "$(find "backup/images/web$i" -name '*.qcow2' | wc -l)" = 1 ]
        qemu-img compare -f raw -F qcow2 "disk$i.img" backup/images/web$i/*.qcow2
    done
}

@test "the Containerfile installs packages that there are" {
    sed -n '/apt-get install/,/rm -rf/p' "$SOURCE/scripts/examples/kubernetes/Containerfile" |
        grep -oE '\b(ca-|python3-|qemu-)[a-z0-9-]+' > packages
    [ "$(wc -l < packages)" = 4 ]
    while read -r package; do apt-cache show "$package" > /dev/null; done < packages
}
