# SPDX-License-Identifier: BSD-3-Clause
"""A run as lines for a shell."""
import shlex

from .commands import Copy, uri_of

# Stand for what only the shell will know. They need no quotes, in a URI neither.
THE_DISK = "DISK-OF-THE-SOURCE"
THE_SIZE = "SIZE-OF-THE-SOURCE"
NEW_DESTINATIONS = "OWED-IF-THERE-IS-A-STATE"


class EachDisk(Copy):
    """The copy of whichever disk the loop has come to."""

    def __init__(self, job):
        super().__init__(job, THE_DISK)

    def creates_image(self):
        return self.plugin == "qcow2"  # that would be its size in any case

    def without_missing_backing(self):
        return list(self.parameters)

    def fanout_new(self):
        return [NEW_DESTINATIONS]


class Lines:
    def __init__(self, job):
        self.job = job
        self.copy = EachDisk(job) if job.several else job.copy()
        self.source = uri_of("src.sock", self.copy.export)
        self.target = uri_of("dst.sock")
        self.meanings = {THE_DISK: '"$disk"'}
        self.meanings[THE_SIZE] = f"$((($(nbdinfo --size {self.word(self.source)}) + 511) / 512 * 512))"
        self.meanings[NEW_DESTINATIONS] = f"$([ ! -e {self.word(self.copy.state)} ] || echo fanout-new=owed)"

    def print(self):
        job, copy = self.job, self.copy
        if job.several:
            print("mkdir -p " + shlex.quote(job.state))
        print(self.line(job.source(), "-U", "src.sock", "-P", "src.pid"))
        if job.several:
            names = r's,^export="\([^/]*\)":$,\1,p'
            print(f"for disk in $(nbdinfo --list {shlex.quote(uri_of('src.sock'))} | sed -n {shlex.quote(names)}); do")
        if copy.also:
            print("mkdir -p " + self.word(copy.fanout_directory()))
        print(self.line(copy.target(self.source, THE_SIZE), "-U", "dst.sock", "-P", "dst.pid"))
        print(self.line(copy.client(self.source, self.target, "--progress" if job.progress else None)))
        print(end_of("dst"))
        if job.several:
            print("done")
        print(end_of("src"))

    def line(self, command, *options):
        return " ".join(self.word(word) for word in (command[0], *options, *command[1:]))

    def word(self, text):
        """Quoted for a shell, but for what it is to put in."""
        quoted = shlex.quote(text)
        for mark, meaning in self.meanings.items():
            quoted = quoted.replace(mark, f"'{meaning}'" if quoted.startswith("'") else meaning)
        return quoted


def end_of(name):
    return f'kill "$(cat {name}.pid)"; tail --pid="$(cat {name}.pid)" -f /dev/null; rm {name}.sock {name}.pid'
