# SPDX-License-Identifier: BSD-3-Clause
"""machine_client.py HOST:PORT CAFILE PATH: what the command does with a machine, as scripts/nbdkit_replicate/vcenter/machine
does it, for simulators that are not ours. The password is in the file pass. SOURCE is the source directory."""

import asyncio
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["SOURCE"], "scripts"))

# pylint: disable=wrong-import-position
from nbdkit_replicate.definition.definition import from_json  # noqa: E402
from nbdkit_replicate.plan.plan import VCenter  # noqa: E402
from nbdkit_replicate.vcenter.machine import Session, State  # noqa: E402


async def main():
    vcenter = VCenter("x", sys.argv[1], "administrator@vsphere.local", os.path.abspath("pass"), cafile=sys.argv[2])
    async with Session(vcenter) as session:
        machine = await session.machine(sys.argv[3])
        print((await machine.power_state()).state.value)
        await machine.shutdown_guest()
        power = await machine.wait_for(State.OFF, 100)
        print(power.state.value)
        for change in (machine.power_off, machine.shutdown_guest, machine.power_on, machine.power_on, machine.power_off):
            await change()  # also where it is in that state already
            print((await machine.power_state()).state.value)
        definition = from_json(await machine.definition())
        print(definition.name, *(f"{disk.name} {disk.size} {disk.file}" for disk in definition.disks))

asyncio.run(main())
