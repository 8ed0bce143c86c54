# SPDX-License-Identifier: BSD-3-Clause
#
# transport=vddk: its parameters, and how the library is found.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load one-disk
load vddk

@test "the manual's example; libdir= implies vddk; thumbprints, compression=, vddk-config=" {
    vc
    standin
    once libdir="$PWD/sdk" -- 'nbdcopy "$uri" web1.img'
    same one.img web1.img
    echo 'vixDiskLib.nfcAio.Session.BufCount=4' > vddk.conf
    once libdir="$PWD/sdk" compression=fastlz vddk-config=vddk.conf vddk-transports=nbd connections=1 \
        -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    grep -q "config=$PWD/vddk.conf" standin/log
    grep -q 'Open .* flags=36' standin/log
    grep -q 'transports=nbd$' standin/log
    SERVER=("${SERVER[@]/cafile=*/thumbprint=$(vcenter_fact vc thumbprint_sha256)}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    SERVER=("${SERVER[@]/thumbprint=*/thumbprint=$(vcenter_fact vc thumbprint)}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    SERVER=("${SERVER[@]/thumbprint=*/insecure=yes}")
    once libdir="$PWD/sdk" -- 'nbdinfo --size "$uri"'
    orderly
    clean
}

@test "a library that is missing, broken or incomplete is refused" {
    vc
    standin
    fails 'libdir= must be the directory of VMware' transport=vddk libdir="$PWD/nothing"
    fails "there is no libvixDiskLib.so.9, .8, .7 or .6 in $PWD/nothing/lib64" libdir="$PWD/nothing"
    fails 'are only for transport=vddk' transport=https compression=zlib
    fails 'must be none, zlib, fastlz or skipz' "${VDDK[@]}" compression=lzma
    echo 'not a library' > broken
    ln -sf "$PWD/broken" sdk/lib64/libvixDiskLib.so.9
    fails 'libvixDiskLib.so.9 cannot be loaded (' "${VDDK[@]}"
    ln -sf "$(ldconfig -p | awk '/libz.so.1 / {print $NF; exit}')" sdk/lib64/libvixDiskLib.so.9
    fails 'has no VixDiskLib_InitEx: VDDK 6.5 or later is needed' "${VDDK[@]}"
    [ ! -e standin/log ]
}

@test "--dump-plugin prints the transports and the VDDK that would be used" {
    vc
    standin
    nbdkit "$VSPHERE" libdir="$PWD/sdk" --dump-plugin > dump
    grep -qx "vddk=$PWD/sdk/lib64/libvixDiskLib.so.8" dump
    grep -qx 'vddk_version=8.0.9' dump
    grep -qx 'transports=vddk,https,nbd' dump
    local helper
    helper=$(realpath "$BUILD")/plugins/vsphere/transport/vddk/helper/nbdkit-vsphere-vddk
    grep -qx "vddk_helper=$helper" dump
    # It is beside the plugin, not beside what leads there.
    ln -s "$VSPHERE" linked.so
    nbdkit "$PWD/linked.so" --dump-plugin | grep -qx "vddk_helper=$helper"
    nbdkit "$VSPHERE" libdir="$PWD/nothing" --dump-plugin > dump
    grep -qx 'vddk=not found' dump
    grep -qx 'transports=https,nbd' dump
    ln -s libvixDiskLib.so.8 sdk/lib64/libvixDiskLib.so.6
    nbdkit "$VSPHERE" libdir="$PWD/sdk" --dump-plugin | grep -q 'libvixDiskLib.so.8$'
}
