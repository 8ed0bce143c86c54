# SPDX-License-Identifier: BSD-3-Clause
"""What a source says of itself."""
import contextlib
import json
import subprocess

import nbd

from .. import Failure


def mib(count):
    return f"{count / (1 << 20):.1f} MiB"


class Facts:
    """What an export says of its disk, and how much it wants copied."""

    def __init__(self, uri):
        handle = nbd.NBD()
        handle.set_full_info(True)
        handle.connect_uri(uri)
        self.size = handle.get_size()
        description = ""
        with contextlib.suppress(nbd.Error):  # an export need not have one
            description = handle.get_export_description()
        handle.shutdown()
        try:
            self.said = json.loads(description)
            self.checkpoint = self.said.get("checkpoint", "")
        except (ValueError, AttributeError):
            self.said, self.checkpoint = {}, ""
        totals = subprocess.run(["nbdinfo", "--map", "--totals", "--json", uri], check=True, stdout=subprocess.PIPE)
        # All but holes that are zero: see nbdkit-replicate-delta(7).
        self.delta = sum(e["size"] for e in json.loads(totals.stdout) if e["type"] != 3)

    def sectors(self):
        """The size in bytes, of whole sectors: a QCOW2 image has no others."""
        return (self.size + 511) // 512 * 512

    def told(self):
        if self.said.get("mode") == "delta":
            return f"{mib(self.delta)} of {mib(self.size)} have changed since {self.said.get('since')} or are owed"
        return f"the whole disk is copied: {mib(self.size)}"


def disks_of(uri):
    """The names of a source's disks: of its exports, without those of the honest extents."""
    names = []
    handle = nbd.NBD()
    handle.set_opt_mode(True)
    handle.connect_uri(uri)
    handle.opt_list(lambda name, _description: names.append(name))
    handle.opt_abort()
    disks = [name for name in names if name != "honest" and not name.startswith("honest/")]
    for name in disks:
        if name in ("", ".", "..") or "/" in name:
            raise Failure(f'the source has an export called "{name}", which cannot be a part of a file\'s name: '
                          "replicate it alone, with a file for --state")
    if not disks:
        raise Failure("the source lists no exports: with a file for --state its default export is replicated")
    return disks
