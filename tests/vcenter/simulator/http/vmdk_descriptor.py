# SPDX-License-Identifier: BSD-3-Clause
"""The text of a VMDK descriptor file."""


def vmdk_descriptor(name, size, parent):
    stem = name.rpartition("/")[2].removesuffix(".vmdk")
    create_type, extent = ("vmfsSparse", "VMFSSPARSE") if parent else ("vmfs", "VMFS")
    file = f"{stem}-delta.vmdk" if parent else f"{stem}-flat.vmdk"
    hint = f'parentFileNameHint="{parent.rpartition("/")[2]}"\n' if parent else ""
    cylinders = max(1, size // (255 * 63 * 512))
    return ("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\n"
            f"parentCID={'fffffffe' if parent else 'ffffffff'}\n"
            f'createType="{create_type}"\n{hint}\n# Extent description\n'
            f'RW {size // 512} {extent} "{file}"\n\n# The Disk Data Base \n#DDB\n\n'
            f'ddb.adapterType = "lsilogic"\nddb.geometry.cylinders = "{cylinders}"\n'
            'ddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\n'
            'ddb.longContentID = "7fbe8e3f27b4c8f19ae4ac98fffffffe"\nddb.thinProvisioned = "1"\n'
            'ddb.uuid = "60 00 C2 9b 38 3d 5b 36-59 3c 5f 1f 4d 1b 6e 27"\n'
            'ddb.virtualHWVersion = "19"\n')
