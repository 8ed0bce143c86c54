#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""plot.py RESULTS DIRECTORY: writes DIRECTORY/BENCH.svg for each benchmark of a file of results: how many times faster each
case is than its peer, with the range of the runs; and DIRECTORY/growth.svg, the curves. By gnuplot; black and white."""
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

import results
from results import Row

ROW, MARGIN, LABEL = 22, 70, 68  # pixels for a bar; pixels around; characters of a label


def main(path: str, directory: str) -> None:
    rows = results.read(path)
    os.makedirs(directory, exist_ok=True)
    for bench in dict.fromkeys(row.bench for row in rows):
        own = sorted((row for row in rows if row.bench == bench), key=lambda row: row.case)  # cases of a kind together
        bars = [row for row in own if row.kind != "value" and min(row.values) > 0]
        if bars:
            _gnuplot(_bars(bench, bars), os.path.join(directory, f"{_file(bench)}.svg"))
        curves = [row for row in own if len(row.points) > 1]
        if curves:
            _gnuplot(_curves(bench, curves), os.path.join(directory, f"{_file(bench)}-curves.svg"))


def _file(bench: str) -> str:
    return bench.replace(" ", "-")


def _gnuplot(script: Sequence[str], path: str) -> None:
    done = subprocess.run(["gnuplot"], input="\n".join(script), stdout=subprocess.PIPE, text=True, check=True)
    # What differs although nothing has changed.
    text = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("<desc>"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _stamp(rows: Sequence[Row]) -> str:
    last = max(rows, key=lambda row: row.date)
    runs = sorted({len(row.values) for row in rows})
    return f"{last.machine}; {last.date}; commit {last.commit}; median and range, runs: {'-'.join(map(str, runs))}"


def _bars(bench: str, rows: Sequence[Row]) -> list[str]:
    faster = [[v if row.kind == "faster" else 1 / v for v in row.values] for row in rows]
    lines = ["$rows << END"]
    for place, values in enumerate(faster):
        lines.append(f"{len(rows) - place} {statistics.median(values)} {min(values)} {max(values)}")
    labels = ", ".join(f"{_quoted(_label(row))} {len(rows) - place}" for place, row in enumerate(rows))
    return [
        *lines, "END",
        f"set terminal svg size 1000,{len(rows) * ROW + MARGIN + 40} font 'sans,12' background 'white'",
        f"set label 2 {_quoted(bench + ': how many times faster than what it is compared with')} at screen 0.5,screen 0.97 "
        "center noenhanced font ',14'",
        f"set label 1 {_quoted(_stamp(rows))} at screen 0.5,screen 0.02 center noenhanced font ',10'",
        f"set ytics ({labels}) noenhanced nomirror", f"set yrange [0.4:{len(rows)}.6]", "set bmargin 4", "set tmargin 3",
        "set lmargin at screen 0.55",
        "set logscale x 2", f"set xrange [{min(0.5, *map(min, faster))}:{max(2.0, *map(max, faster)) * 1.25}]",
        "set format x '%g'", "set grid xtics lc rgb '#bbbbbb' lt 1",
        "set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb 'black'", "set style fill solid 0.35 border lc rgb 'black'",
        "unset key",
        "plot $rows using 2:1:(1):2:($1-0.32):($1+0.32) with boxxyerror lc rgb 'black', "
        "$rows using 2:1:3:4 with xerrorbars pt 7 ps 0.35 lw 1.5 lc rgb 'black'",
    ]


def _label(row: Row) -> str:
    case, peer = row.case.partition(": ")[0], " / " + row.against.partition(";")[0]
    room = LABEL - len(peer)
    if len(case) > room:  # the beginning says what is done, the end with what
        case = case[:room // 2] + "…" + case[len(case) - (room - room // 2 - 1):]
    return case + peer


def _curves(bench: str, rows: Sequence[Row]) -> list[str]:
    """A panel for each, two in a line."""
    height = (len(rows) + 1) // 2 * 260 + MARGIN
    script = [f"set terminal svg size 1000,{height} font 'sans,12' background 'white'",
              f"set multiplot layout {(len(rows) + 1) // 2},2 title {_quoted(bench + ' - ' + _stamp(rows))} noenhanced",
              "set logscale xy", "unset key", "set grid lc rgb '#bbbbbb' lt 1", "set format x '%.0s%c'"]
    for number, row in enumerate(rows):
        script += [f"$rows{number} << END", *(f"{x} {y}" for x, y in row.points), "END",
                   f"set title {_quoted(row.case)} noenhanced",
                   f"plot $rows{number} using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb 'black'"]
    return [*script, "unset multiplot"]


main(*sys.argv[1:])
