# SPDX-License-Identifier: BSD-3-Clause
"""--dry-run: a run as lines for a shell.

The lines must be right for a source that has not been asked anything. What only the shell will know, such as the
size of the disk, is a placeholder in the command lines, which is replaced once they have been quoted.
"""
import dataclasses
import shlex

from ..images import is_qcow2
from .commands import Circumstances, client_command, source_command, target_command, uri_of
from .replication import Replication

# Words that need no quotes, in a URI neither.
EACH_DISK = "DISK-OF-THE-SOURCE"
SIZE = "SIZE-OF-THE-SOURCE"
NEW_DESTINATIONS = "OWED-IF-THERE-IS-A-STATE"


class ShellScript:
    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._disk = replication.disk(EACH_DISK if replication.several else None)
        self._source_uri = uri_of("src.sock", self._disk.export)
        self._target_uri = uri_of("dst.sock")
        self._meanings = {EACH_DISK: '"$disk"'}
        self._meanings[SIZE] = f"$((($(nbdinfo --size {self._word(self._source_uri)}) + 511) / 512 * 512))"
        self._meanings[NEW_DESTINATIONS] = f"$([ ! -e {self._word(self._disk.state)} ] || echo fanout-new=owed)"

    def lines(self) -> list[str]:
        copy = self._copy_lines()
        if self._replication.several:
            names = r's,^export="\([^/]*\)":$,\1,p'
            exports = f"nbdinfo --list {shlex.quote(uri_of('src.sock'))} | sed -n {shlex.quote(names)}"
            copy = [f"for disk in $({exports}); do", *copy, "done"]
        return [
            *([f"mkdir -m 0700 -p {shlex.quote(self._replication.state)}"] if self._replication.several else []),
            self._line(source_command(self._replication), "-U", "src.sock", "-P", "src.pid"),
            *copy,
            _stop("src"),
        ]

    def _copy_lines(self) -> list[str]:
        target = target_command(self._disk, self._source_uri, self._circumstances())
        return [
            *([f"mkdir -m 0700 -p {self._word(self._disk.fanout_state)}"] if self._disk.also else []),
            *self._client_lines(target),
        ]

    def _client_lines(self, target: list[str]) -> list[str]:
        if self._replication.pulls:  # it ends by itself
            return [self._line(target, "-f", "-U", "dst.sock"), "rm dst.sock"]
        client = client_command(self._replication.client, self._source_uri, self._target_uri, self._replication.progress)
        return [self._line(target, "-U", "dst.sock", "-P", "dst.pid"), self._line(client), _stop("dst")]

    def _circumstances(self) -> Circumstances:
        if self._replication.several:
            # For an image that exists, size= is its size in any case.
            size = SIZE if is_qcow2(self._disk.target.plugin) else None
            return Circumstances(size=size, fanout_new=NEW_DESTINATIONS, lacks_backing=False)
        now = Circumstances.of(self._disk, size=0)
        return dataclasses.replace(now, size=now.size and SIZE)

    def _line(self, command: list[str], *options: str) -> str:
        return " ".join(self._word(word) for word in (command[0], *options, *command[1:]))

    def _word(self, text: str) -> str:
        """Quoted for a shell, except for what the shell is to put in."""
        quoted = shlex.quote(text)
        for placeholder, meaning in self._meanings.items():
            quoted = quoted.replace(placeholder, f"'{meaning}'" if quoted.startswith("'") else meaning)
        return quoted


def _stop(server: str) -> str:
    return (f'kill "$(cat {server}.pid)"; tail --pid="$(cat {server}.pid)" -f /dev/null; '
            f"rm {server}.sock {server}.pid")
