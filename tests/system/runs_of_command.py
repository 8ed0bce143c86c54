# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of whole lives and of cutovers share: runs of the command in the current directory, whose output is in
said.log, and whose TMPDIR is the test's own."""
import os
import signal
import subprocess
import time


def compare(reference, path):
    result = subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", reference, path], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 0, (path, result)


def said():
    with open("said.log", encoding="utf-8", errors="replace") as log:
        return log.read()


def wait_until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain; {said() if os.path.exists('said.log') else ''}"
        time.sleep(0.01)


def kill_all(process):
    """The command, as kill -9 does it; its servers end by themselves, and the programs that change images."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not servers_of_this_test() and not programs_here("qemu-img"))


def programs_here(*names):
    """The processes of programs of these names whose current directory is ours."""
    here = os.getcwd()
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == here and os.path.basename(os.readlink(f"/proc/{pid}/exe")) in names:
                found.append(pid)
        except OSError:
            continue
    return found


def servers_of_this_test():
    """Programs of a run that have not ended: they have its temporary directory in their arguments."""
    here = os.environ["TMPDIR"].encode()
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read()
        except OSError:
            continue
        if here in words and b"nbdkit-replicate." in words:
            found.append(pid)
    return found
