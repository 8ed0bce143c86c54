# SPDX-License-Identifier: BSD-3-Clause
"""The command that takes the machine over. It gets what a hook gets, on its standard input, with what a cutover knows
besides; and the names that a shell needs most as variables."""
import dataclasses
import os
from typing import Any

from ..many.hooks import run_program
from ..messages import Failure, say, warn
from ..programs.process import bound_to_parent
from ..report import text
from ..report.records import RunRecord, amend_record, read_records, records_directory
from .context import Context
from .definition import DEFINITION, DOMAIN
from .overlays import directory_of
from .pull_state import owed


class CommandFailed(Failure):
    """The command of --then."""


async def hand_over(context: Context, uris: dict[str, str] | None = None) -> None:
    """The source is off, and the copy is complete, or served by the servers of --pull, whose URIs these are, by disk. It may be
    done twice, if this is interrupted. Raises CommandFailed."""
    command = context.options.then
    if command is None:
        return
    say(f"handed over to: {command}")
    with context.interruption.scope():
        failure = await run_program(bound_to_parent(["sh", "-c", command]), _facts(context, uris or {}), None,
                                    _environment(context, uris or {}))
    if failure:
        left = owed(context.machine, list(uris or {}))
        copy = f"{text.size(left)} are still to be fetched from its snapshot" if left else "the copy is complete"
        raise CommandFailed(f"the command of --then {failure.partition(':')[0]}: the machine is off, and {copy}; the same "
                            "command runs it again, and --abort starts the source again")


def _record(context: Context) -> RunRecord:
    """Of the last increment."""
    records = read_records(records_directory(context.machine.states))
    return next((one for one in records if one.time == context.journal.last), RunRecord(context.machine.name, "", 0.0))


def _facts(context: Context, uris: dict[str, str]) -> dict[str, Any]:
    journal, directory = context.journal, directory_of(context.machine)
    record = {"hook": "cutover", "plan": context.plan.path, **dataclasses.asdict(_record(context))}
    return {**record, "vm": context.machine.name, "directory": directory, "definition": os.path.join(directory, DEFINITION),
            "domain": os.path.join(directory, DOMAIN),
            "images": [{"disk": disk, "image": path, "format": "qcow2", "uri": uris.get(disk)}
                       for disk, path in journal.images],
            "downtime": journal.measured, "predicted_downtime": journal.predicted}


def _environment(context: Context, uris: dict[str, str]) -> dict[str, str]:
    directory = directory_of(context.machine)
    values = {"VM": context.machine.name, "DIRECTORY": directory, "DEFINITION": os.path.join(directory, DEFINITION),
              "DOMAIN": os.path.join(directory, DOMAIN)}
    for number, (disk, path) in enumerate(context.journal.images):
        values |= {f"IMAGE_{number}": path, f"DISK_{number}": disk}
        if disk in uris:
            values[f"URI_{number}"] = uris[disk]
    return {f"CUTOVER_{name}": value for name, value in values.items()}


def tell(context: Context) -> None:
    """Everything is ready."""
    journal = context.journal
    say(describe(context))
    if (journal.measured or 0.0) > journal.downtime:
        warn(f"the downtime is longer than the {text.duration(journal.downtime)} that were agreed on")
    try:
        amend_record(records_directory(context.machine.states), journal.last, downtime=journal.measured,
                     predicted_downtime=journal.predicted)
    except OSError as e:
        warn(f"the record of the last run cannot be written: {e.filename}: {e.strerror}")


def describe(context: Context, handed_over: float | None = None) -> str:
    """What the downtime came to. handed_over: seconds that the command took."""
    journal = context.journal
    measured, predicted = journal.measured, journal.predicted
    line = f"downtime: {text.duration(measured or 0.0)} from the shutdown until everything was ready"
    if predicted is not None:
        line += f", {text.duration(predicted)} were predicted"
        line += "" if journal.shutdown_known else " besides the time to shut down"
    line += f", {text.duration(journal.downtime)} agreed on"
    if journal.shutdown_seconds is not None and journal.down is not None and journal.off is not None:
        line += f"; {text.duration(journal.off - journal.down)} of it to shut down"
    if handed_over is not None:
        line += f"; the command of --then took {text.duration(handed_over)} more"
    return line
