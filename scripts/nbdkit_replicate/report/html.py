# SPDX-License-Identifier: BSD-3-Clause
"""status --html: one page that needs no other file, no script and no network."""
import datetime
import html

from ..messages import printable
from . import text
from .plot import nights
from .status import WORST_FIRST, DiskStatus, Grade, MachineStatus, Report, cause_of, result_of
from .status_text import WORDS, owed_text

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--page:#f4f6f8;--card:#fff;--line:#dde3ea;--bar:#4a7fb5;
--ok:#1f7a43;--warning:#9a6200;--critical:#b3261e;--unknown:#5b6675}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa7b8;--page:#12161c;--card:#1b2129;--line:#2d3642;
--bar:#6fa3d8;--ok:#5cc98a;--warning:#e2a93b;--critical:#ff8a80;--unknown:#9aa7b8}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main,header{max-width:76rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.2rem;padding-bottom:.4rem}
h1{font-size:1.4rem;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:0;overflow-wrap:anywhere;flex:1 1 auto}
p{margin:.25rem 0;overflow-wrap:anywhere}
.soft,time{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:0 0 1rem;padding:.9rem 1rem}
.head{display:flex;gap:.6rem;align-items:baseline}
.body{display:grid;gap:.4rem 2rem;grid-template-columns:minmax(0,1fr) 22rem;align-items:start}
.grade{font-size:.78rem;font-weight:650;letter-spacing:.03em;white-space:nowrap;border:1px solid;border-radius:99px;
padding:.05rem .55rem}
.OK{color:var(--ok)}.WARNING{color:var(--warning)}.CRITICAL{color:var(--critical)}.UNKNOWN{color:var(--unknown)}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th{font-weight:600;color:var(--soft);font-size:.85rem}
th,td{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
tr:first-child th{border-top:0}
td.n{white-space:nowrap;font-variant-numeric:tabular-nums}
ul{margin:0;padding:0;list-style:none}
.plot{width:100%;height:auto;margin-top:.6rem}
.plot text{font:9px system-ui,sans-serif;fill:var(--soft)}.plot line{stroke:var(--line)}.plot rect{fill:var(--bar)}
.plot .bad{fill:var(--critical)}
@media (max-width:760px){.body{grid-template-columns:minmax(0,1fr)}tr:first-child{display:none}
tr{display:block;border-top:1px solid var(--line);padding:.4rem 0}
td{display:flex;gap:.8rem;border:0;padding:.1rem 0}td.n{white-space:normal}
td::before{content:attr(data-of);color:var(--soft);flex:0 0 7.5rem}}
"""


def page(report: Report, plan: str) -> str:
    title = f"Replicas of {plan}" if plan else "Replicas"
    machines = sorted(report.machines, key=lambda machine: WORST_FIRST.index(report.grade(machine)))
    problems = [_problem(report, machine) for machine in machines if report.grade(machine) != Grade.OK]
    disks = sum(len(machine.disks) for machine in report.machines)
    counts = f"{len(report.machines)} machines, {disks} disks; {len(problems) or 'none'} of the machines need attention"
    return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
            f"<title>{_escaped(title)}: {report.overall.name}</title><style>{_STYLE}</style></head>\n<body><header>"
            f'<div class="head"><h1>{_escaped(title)}</h1>{_badge(report.overall)}</div>'
            f"<p>{counts}</p><p class=\"soft\">As of {_time(report.now)}</p>{''.join(problems)}</header>\n<main>"
            f"{''.join(_section(report, machine) for machine in machines)}</main></body></html>\n")


def _escaped(words: str) -> str:
    return html.escape(printable(words))


def _badge(grade: Grade) -> str:
    return f'<span class="grade {grade.name}">{grade.name}</span>'


def _time(moment: float) -> str:
    local = datetime.datetime.fromtimestamp(moment).astimezone()
    return f'<time datetime="{local.isoformat(timespec="seconds")}">{local.strftime("%Y-%m-%d %H:%M %Z")}</time>'


def _problem(report: Report, machine: MachineStatus) -> str:
    found = [f"disk {disk.disk}: {finding.text or 'the last complete point is too old'}" if disk.disk else finding.text
             for disk in machine.disks for finding in report.findings(machine, disk) if finding.grade != Grade.OK]
    what = "; ".join(found) or "nothing has been copied yet"
    return f"<p>{_badge(report.grade(machine))} <b>{_escaped(machine.vm)}</b>: {_escaped(what)}</p>"


def _section(report: Report, machine: MachineStatus) -> str:
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "".join(_row(report, machine, disk) for disk in machine.disks)
    table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
    plot = f"<div>{nights(machine.records, report.now)}<p class=\"soft\">Bytes to copy, by day</p></div>"
    return (f'<section><div class="head"><h2>{_escaped(machine.vm)}</h2>{_badge(report.grade(machine))}</div>'
            f'<div class="body"><div>{table}{_runs(machine)}</div>{plot if machine.records else ""}</div></section>\n')


_COLUMNS = ("Disk", "Complete as of", "Age", "Size", "Destinations")


def _row(report: Report, machine: MachineStatus, disk: DiskStatus) -> str:
    grade = report.grade_of(machine, disk)
    complete = _time(disk.complete) if disk.complete is not None else "never"
    age = text.duration(max(0.0, report.now - disk.complete)) if disk.complete is not None else "-"
    destinations = "".join(f"<li>{_escaped(owed_text(d))}</li>" for d in disk.destinations)
    cells = (f"{_escaped(disk.disk or '-')}", complete, f'<span class="{grade.name}">{age}</span>',
             text.size(disk.size) if disk.size else "-", f"<ul>{destinations}</ul>" if destinations else "-")
    kinds = ("", "", "n", "n", "")
    return "<tr>" + "".join(f'<td class="{kind}" data-of="{name}">{cell}</td>'
                            for kind, name, cell in zip(kinds, _COLUMNS, cells)) + "</tr>"


def _runs(machine: MachineStatus) -> str:
    running = f"<p><b>A run is under way</b>, since {_time(machine.records[0].started)}</p>" \
        if machine.running and machine.records else ""
    last = machine.last
    if last is None:
        return running or "<p>No run is recorded.</p>"
    cause = f": {_escaped(cause_of(last))}" if cause_of(last) else ""
    return f"{running}<p>Last run {_time(last.started)}: {WORDS[result_of(last)]}{cause}</p>"
