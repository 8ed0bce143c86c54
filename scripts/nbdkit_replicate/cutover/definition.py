# SPDX-License-Identifier: BSD-3-Clause
"""What the machine is, saved beside its images: the .vmx and .nvram as they are in the datastore, definition.json, and a
libvirt domain with the images that are handed over as its disks."""
import os
from collections.abc import Mapping

from ..definition.definition import FILE_NAME, from_json, to_json
from ..definition.libvirt import Copy, domain_of
from ..files import make_directory, replace_file
from ..messages import warn
from .context import Context
from .overlays import directory_of

DEFINITION = FILE_NAME
DOMAIN = "domain.xml"


async def save_definition(context: Context, copies: Mapping[str, Copy]) -> None:
    """copies: of the disks, by their names."""
    directory = directory_of(context.machine)
    make_directory(directory)
    definition = from_json(await context.vm.definition())
    await context.vm.download(directory)
    domain = domain_of(definition, copies)
    if context.notes != domain.notes:
        for note in domain.notes:
            warn(f"{DOMAIN}: {note}")
        context.notes = domain.notes
    replace_file(os.path.join(directory, DEFINITION), to_json(definition))
    replace_file(os.path.join(directory, DOMAIN), domain.xml)
