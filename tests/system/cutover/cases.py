# SPDX-License-Identifier: BSD-3-Clause
"""cases.py NAME: one case of cutover.bats."""
import contextlib
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import time

import nbd

sys.dont_write_bytecode = True

from site_of_test import M, Site, image, journal  # noqa: E402
from runs_of_command import kill_all, said, servers_of_this_test, wait_until  # noqa: E402


def whole(downtime="3600s", task_ms="20"):
    """A guest with a file system that writes all the time: it converges, is shut down and handed over."""
    site = Site(size=64, data=16, file_system=True)
    site.control("pace", **{"task-ms": task_ms})
    site.control("writer", files="/data", disk=2000, rate=4 << 20, last=100000)
    text = site.cutover("--downtime", downtime, "--then", 'cat > facts; env | grep ^CUTOVER > variables; '
                        'virsh -q -c test:///default define "$CUTOVER_DOMAIN" && virt-xml-validate "$CUTOVER_DOMAIN" domain')
    site.check_end()
    assert "downtime: " in text, text
    found = journal()
    assert found["step"] == "done" and found["was_on"], found
    assert (found["ready"] - found["down"] > int(downtime.rstrip("s"))) == ("longer than the" in text), (found, text)
    with open("facts", encoding="utf-8") as file:
        facts = json.load(file)
    assert facts["hook"] == "cutover" and facts["images"][0]["image"] == os.path.abspath(image(2000)), facts
    with open("variables", encoding="utf-8") as file:
        assert f"CUTOVER_IMAGE_0={os.path.abspath(image(2000))}" in file.read()
    for name in ("web1.vmx", "web1.nvram", "definition.json"):
        assert os.path.getsize(f"images/web1/web1-cutover/{name}"), name
    # Nothing is done twice, and other runs leave the machine alone.
    assert "it was handed over at" in site.cutover("--downtime", "1h")
    assert "has been cut over" in site.command("run", "plan.toml", "--build", os.environ["BUILD"], status=1)
    status = json.loads(site.command("status", "plan.toml", "--json"))["machines"][0]
    assert status["cutover"]["step"] == "done" and abs(status["cutover"]["downtime"] - (found["ready"] - found["down"])) < 0.01
    print("PREDICTED", found["predicted"], "MEASURED", found["ready"] - found["down"])


def slow_to_write():
    """The guest writes more than fits the downtime: noticed after three rounds, with figures; nothing is shut down."""
    site = Site()
    site.writes(rounds="3000000")
    site.control("pace", **{"task-ms": 400})  # a round has two tasks of the vCenter
    text = site.cutover("--downtime", "1s", status=1)
    # The first round copies the whole disks.
    assert len(journal()["rounds"]) == 4, journal()
    assert [one["full"] for one in journal()["rounds"]] == [True, False, False, False], journal()
    for words in ("the rounds do not get shorter: the last 3 copied 2.0 MiB, 2.0 MiB, 2.0 MiB", "changes ", "in a minute",
                  "a downtime of ", "1.0 s were agreed on", "what would help", "--pull", "nothing has been shut down"):
        assert words in text, (words, text)
    assert site.is_on() and not site.state["power_log"], site.state
    assert journal()["step"] == "rounds"
    site.check_source_left()
    # An ordinary run goes on, and with the downtime that it has told so does the cutover.
    site.command("run", "plan.toml", "--build", os.environ["BUILD"])
    site.cutover("--downtime", "1h")
    site.check_end()


def faster_than_copied():
    """The guest writes in a second more than is copied in one, all over its disk: each round is as large as the disk."""
    site = Site(size=8, data=8, more='limits = { source-rate = "4M" }')
    site.control("writer", b"[[0, 8388608]]", disk=2000, rate=64 << 20)
    site.control("pace", **{"task-ms": 600})  # so a round takes longer than a second
    text = site.cutover("--downtime", "1s", status=1)
    rounds = journal()["rounds"]
    assert [one["full"] for one in rounds] == [True, False, False, False], rounds
    for words in ("the rounds do not get shorter: the last 3 copied ", "iB in a minute, ", "iB can be copied in a minute",
                  "a downtime of ", "1.0 s were agreed on", "a higher source-rate than 4M", "nothing has been shut down"):
        assert words in text, (words, text)
    assert site.is_on() and not site.state["power_log"], site.state
    assert journal()["step"] == "rounds"
    site.check_source_left()
    # What there is is a restore point; the guest has gone on writing.
    assert len([name for name in os.listdir("images/web1") if name.endswith(".qcow2")]) == 4


def nothing_tells_changes():
    """Each round copies the whole disks: the downtime is that of a whole copy, which may be agreed on."""
    site = Site(of_vcenter='parameters = ["cbt=off"]')
    site.control("pace", **{"task-ms": 600})
    text = site.cutover("--downtime", "1s", status=1)
    assert [one["full"] for one in journal()["rounds"]] == [True] * 3, journal()
    assert "whole disks are copied each time, as nothing tells what has changed" in text, text
    assert "--pull" not in text, text
    # The last increment could not be fetched: that is found before the machine is shut down.
    text = site.cutover("--downtime", "1h", "--pull", status=1)
    assert "each round copies whole disks" in text and "without --pull" in text, text
    assert site.is_on() and not site.state["power_log"], site.state
    site.cutover("--downtime", "1h")
    site.check_end()


def hangs():
    """Without Tools it is not begun; a guest that hangs is left running, or switched off if that is allowed."""
    site = Site()
    site.control("tools", running=0)
    text = site.cutover("--downtime", "1h", status=1)
    assert "VMware Tools do not run" in text and "--force-off" in text, text
    assert not os.path.exists("images"), text
    site.control("tools", running=1)
    site.control("shutdown", seconds="never")
    text = site.cutover("--downtime", "1h", "--shutdown-deadline", "1s", status=1)
    assert "has not shut down within 1.0 s; it still runs" in text, text
    assert site.is_on() and journal()["step"] == "rounds", journal()
    site.writes(rounds="1")
    text = site.cutover("--downtime", "1h", "--shutdown-deadline", "1s", "--force-off")
    assert "it is switched off, as --force-off allows" in text, text
    site.check_end()
    assert site.state["power_log"][-1]["by"] == "api" and journal()["forced"], site.state


def damaged():
    """What a round has written is read back: a change of it is found while the machine runs."""
    change = ("import json, subprocess, sys; disk = json.load(sys.stdin)['disks'][0]; disk['full'] or "
              "subprocess.run(['qemu-io', '-f', 'qcow2', '-c', 'write -P 9 1100000 512', disk['image']], check=True)")
    site = Site(more=f"hooks = {{ after = [{json.dumps(sys.executable)}, \"-c\", {json.dumps(change)}] }}")
    site.writes(rounds="1000000")
    text = site.cutover("--downtime", "1h", status=1)
    assert "is not what was sent" in text, text
    assert site.is_on() and journal()["step"] == "rounds" and len(journal()["rounds"]) == 1, journal()
    site.check_source_left()


def started_again():
    """Somebody starts the machine while the last increment is copied, and between two commands."""
    site = Site()
    site.writes(rounds="1")
    for method in "CreateSnapshot_Task", "RemoveSnapshot_Task":
        shutdown = [site.curl("power", on=0), site.curl("power", on=1, at=method)]
        if method == "CreateSnapshot_Task":  # so it is seen before anything is copied: the source answers when it starts
            shutdown.append(site.curl("fault", where="flat", kind="stall", seconds=1, after=2, count=1000))
        text = site.cutover("--downtime", "1h", "--shutdown", " && ".join(shutdown), "--then", "touch handed", status=1)
        assert "somebody has started the machine again" in text, text
        assert not os.path.exists("handed")
        assert journal()["step"] == "rounds", journal()
        site.control("nofault")
        site.check_source_left()
    # Killed when it was off; somebody started it, it wrote, and was shut down: there is one more increment.
    kill_at_step(site, "off", "--downtime", "1h")
    site.control("power", on=1)
    text = site.cutover("--downtime", "1h", status=1)
    assert "somebody has started the machine again" in text, text
    kill_at_step(site, "off", "--downtime", "1h")
    site.control("power", on=1)
    write_and_shut_down(site, b"news")
    site.cutover("--downtime", "1h", "--then", "exit 3", status=1)
    site.check_end()
    # The same after the command of --then has failed.
    site.control("power", on=1)
    write_and_shut_down(site, b"more")
    text = site.cutover("--downtime", "1h", "--then", "true")
    assert "there is one more increment" in text, text
    site.check_end()
    # After the end --abort starts it, and runs go on.
    text = site.cutover("--abort")
    assert "has been started again" in text, text
    assert site.is_on() and not os.path.exists(image(2000))
    site.command("run", "plan.toml", "--build", os.environ["BUILD"])


def write_and_shut_down(site, data):
    """In vSphere, without the cutover."""
    site.control("write", data, disk=2000, offset=3 << 20)
    site.control("power", on=0)


# A client of the images: it reads the first block, writes the second one, and tells when.
CLIENT = """
import json, nbd, sys, time
facts = json.load(sys.stdin)
for one in facts["images"]:
    handle = nbd.NBD()
    handle.connect_uri(one["uri"])
    first = handle.pread(4096, 0)
    with open("first", "a") as file:
        file.write(f"{time.time()} {bytes(first) == open('kept/' + one['disk'] + '.img', 'rb').read(4096)}\\n")
    handle.pwrite(b"W" * 65536, 65536)
    handle.flush()
    handle.shutdown()
"""


def pulled():
    """--pull: the images can be read and written before the last increment is here; killed and run again; what was written
    stays."""
    site = Site(disks=(2000, 2001))
    for disk in site.disks:
        site.writes(disk=disk, rounds="1")
    # The source does not answer what is asked of the last increment until the servers have been killed.
    shutdown = " && ".join([*(site.curl("write", disk=disk, offset=4 << 20, length=2 << 20, byte=7) for disk in site.disks),
                            site.curl("fault", where="flat", kind="stall", seconds=1, count=1000, offset=4 << 20,
                                       length=2 << 20),
                            site.curl("power", on=0)])
    with open("client.py", "w", encoding="utf-8") as file:
        file.write(CLIENT)
    client = f"{sys.executable} client.py"
    text = site.cutover("--downtime", "1h", "--pull", "--shutdown", shutdown, "--then", f"{client} && kill -9 $PPID",
                        status=-9)
    assert "until the images are served" in text, text
    found = journal()
    assert found["step"] == "handover" and found["pulled"], found
    with open("first", encoding="utf-8") as file:
        times = [line.split() for line in file]
    assert [right for _, right in times] == ["True", "True"], times
    print("FIRST BLOCK after", float(times[0][0]) - found["off"], "READY after", found["ready"] - found["off"])
    wait_until(lambda: not servers_of_this_test())
    for disk in site.disks:
        with open(f"states/web1/cutover/{disk}.state", encoding="utf-8") as file:
            owed = json.load(file)["owed"]
        assert sum(length for _, length in owed) >= 2 << 20, (disk, owed)
    site.control("nofault")
    # Other programs leave the machine alone; then the servers are there again, and the rest is fetched.
    assert "a cutover of the machine" in site.command("run", "plan.toml", "--build", os.environ["BUILD"], status=1)
    text = site.cutover("--downtime", "1h", "--pull", "--then", "true")
    assert "everything is here" in text, text
    for disk in site.disks:
        with open(f"kept/{disk}.img", "r+b") as file:
            file.seek(65536)
            file.write(b"W" * 65536)
    site.check_end()
    assert not [name for name in os.listdir("images/web1/web1-cutover") if "sock" in name]
    text = site.cutover("--abort")
    assert text.count("is kept by this name") == 2 and site.is_on(), text
    site.command("run", "plan.toml", "--build", os.environ["BUILD"])
    # The machine is off from the beginning, and that was the last increment but one.
    # Nobody writes to them: they are the disks, also after somebody has started the machine and shut it down again.
    site.control("power", on=0)
    site.cutover("--downtime", "1h", "--pull", "--then", "exit 3", status=1)
    site.control("power", on=1)
    write_and_shut_down(site, b"more")
    site.cutover("--downtime", "1h", "--pull")
    site.check_end()
    assert "is kept" not in site.cutover("--abort")


def served_on():
    """--pull: the vCenter answers faults while the images are served, and the command of --then fails: a client reads and
    writes all the same; what cannot be removed is told, and removed by the same command."""
    site = Site()
    shutdown = " && ".join([site.curl("write", disk=2000, offset=4 << 20, length=2 << 20, byte=7),
                            site.curl("hold", offset=4 << 20, length=2 << 20), site.curl("power", on=0)])
    words = ("--downtime", "1h", "--pull", "--shutdown", shutdown)
    os.mkfifo("go")
    process = site.begin_cutover(*words, "--then", "read line < go; exit 3")
    client = client_of(process)
    site.control("fault", where="RetrievePropertiesEx", kind="SystemError", count=1000000)
    with open("go", "w", encoding="ascii") as file:
        file.write("go\n")
    wait_for(process, "ended with status 3", "are still to be fetched", "served on",
             "whether somebody starts the machine is not known")
    block = client.pread(4096, 0)
    client.pwrite(block, 0)
    client.flush()
    client.shutdown()
    kill_all(process)
    site.control("nofault")
    # It fails again, before the client has connected again.
    process = site.begin_cutover(*words, "--then", "exit 3")
    wait_for(process, "served on")
    client = client_of(process)
    site.control("fault", where="RemoveSnapshot_Task", kind="SystemError", count=1000000)
    site.control("release")
    wait_for(process, "is not removed", "everything is here", "when their last client")
    assert client.pread(4096, 4 << 20) == b"\7" * 4096
    client.shutdown()
    assert process.wait() == 1, said()
    assert journal()["step"] == "handover", journal()
    text = site.cutover(*words, "--then", "true", status=1)
    assert text.rstrip().endswith("SystemError injected by the test") and journal()["snapshot"] in text, text
    assert journal()["step"] == "done" and site.state["snapshots"], journal()
    site.control("nofault")
    site.cutover(*words)
    site.check_end()


def client_of(process):
    """Connected to the image, when it has been handed over."""
    path = "images/web1/web1-cutover/2000.sock"
    wait_until(lambda: process.poll() is not None or os.path.exists("states/web1/cutover.json") and
               journal()["step"] == "handover" and os.path.exists(path))
    assert process.poll() is None, said()
    handle = nbd.NBD()
    handle.connect_unix(path)
    return handle


def wait_for(process, *texts):
    wait_until(lambda: process.poll() is not None or all(text in said() for text in texts))
    assert process.poll() is None, said()


def nothing_tells_last():
    """--pull, and nothing tells what has changed since the last round: CBT was reset, or the disk has grown. Nothing is handed
    over, and nothing is left in the vCenter; without --pull the whole disk is copied."""
    site = Site(disks=(2000, 2001), size=8, data=2)
    for lost in (site.curl("reset", disk=2001), site.curl("grow", disk=2001, size=12 * M)):
        writes = [site.curl("write", disk=disk, offset=4 * M, length=M, byte=7) for disk in site.disks]
        words = ("--downtime", "1h", "--shutdown", " && ".join([*writes, lost, site.curl("power", on=0)]), "--then", "touch handed")
        text = site.cutover(*words, "--pull", status=1)
        assert "disk 2001: the last increment cannot be fetched" in text and "without --pull copies the whole disk" in text, text
        assert not os.path.exists("handed") and journal()["step"] == "off", journal()
        assert not [name for name in os.listdir("images/web1") if "cutover.qcow2" in name]
        site.check_source_left()
        site.cutover(*words)
        os.unlink("handed")
        site.check_end()
        site.cutover("--abort")
    # Killed before anything was handed over, when the first image is about to be served: its snapshot goes, too.
    with killed_at("pull-state="):
        site.cutover("--downtime", "1h", "--pull", status=-9)
    wait_until(lambda: not servers_of_this_test())
    assert journal()["step"] == "off" and site.state["snapshots"], (journal(), site.state)
    site.cutover("--downtime", "1h")
    site.check_end()


@contextlib.contextmanager
def killed_at(parameter):
    """A block in which the command is killed by the first server that it starts with this parameter."""
    os.mkdir("bin")
    with open("bin/nbdkit", "w", encoding="utf-8") as file:
        file.write(f"""#!/bin/sh
case "$*" in *{parameter}*) kill -9 "$PPID"; exit;; esac
exec {shutil.which("nbdkit")} "$@"
""")
    os.chmod("bin/nbdkit", 0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{os.path.abspath('bin')}:{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path


def kill_at_step(site, step, *words):
    process = site.begin_cutover(*words)
    wait_until(lambda: process.poll() is not None or journal()["step"] == step)
    assert process.poll() is None, said()
    kill_all(process)
    assert journal()["step"] == step, journal()


def at_text(moment):
    return datetime.datetime.fromtimestamp(moment).isoformat()


def steps():
    """Killed in the commands that it runs, and run again; commands that fail; --at; --abort at each step."""
    site = Site()
    site.writes(rounds="1")
    process = site.begin_cutover("--downtime", "1h", "--at", at_text(time.time() + 3600))
    wait_until(lambda: "waiting until" in said() or process.poll() is not None)
    process.terminate()
    assert process.wait() == 1, said()
    assert site.is_on() and journal()["step"] == "rounds", journal()
    at = time.time() + 4
    words = ("--downtime", "1h", "--at", at_text(at))
    off = site.curl("power", on=0)
    # The first time it is killed before the machine is off, the second time after that.
    shutdown = f"{site.curl('state')} && if [ -e once ]; then {off} && kill -9 $PPID; else touch once && kill -9 $PPID; fi"
    # The third time what is in the image is written to it.
    then = ("echo x >> handed; case $(wc -l < handed) in 1) exit 3;; 2) kill -9 $PPID;; "
            "3) qemu-io -c 'write -s kept/2000.img 0 64k' $CUTOVER_IMAGE_0; exit 3;; esac")
    for step, on, status in (("shutdown", True, -9), ("shutdown", False, -9), ("handover", False, 1), ("handover", False, -9),
                             ("handover", False, 1)):
        site.cutover(*words, "--shutdown", shutdown, "--then", then, status=status)
        assert journal()["step"] == step and site.is_on() == on, journal()
        wait_until(lambda: not servers_of_this_test())
    assert site.state["power_log"][0]["time"] >= at, site.state
    points = len(os.listdir("images/web1"))
    site.cutover(*words, "--shutdown", shutdown, "--then", then)
    assert len(os.listdir("images/web1")) == points  # it is used at the destination: there is no further increment
    site.check_end()
    with open("handed", encoding="ascii") as file:
        assert file.read() == "x\n" * 4
    # What has been written at the destination is kept.
    with subprocess.Popen(["qemu-nbd", "-k", os.path.abspath("q.sock"), "--pid-file=q.ready", "--persistent",
                           image(2000)]) as user:
        try:
            wait_until(lambda: os.path.exists("q.ready"))  # the image is open
            assert "is in use" in site.cutover("--abort", status=1)
            assert not site.is_on()
        finally:
            user.terminate()
    text = site.cutover("--abort")
    assert "has been started again" in text and "is kept by this name" in text, text
    assert site.is_on() and not os.path.exists(image(2000))
    assert "already" in site.cutover("--abort")
    # --abort before and while it is off.
    assert site.begin_cutover(*words[:2], "--shutdown", "kill -9 $PPID").wait() == -9
    assert "it is left as it is" in site.cutover("--abort")
    kill_at_step(site, "off", *words[:2])
    assert "has been started again" in site.cutover("--abort")
    site.cutover(*words[:2])
    site.check_end()


def kills(count, seed):
    """kills COUNT SEED: killed at random instants, and run again: the same end."""
    print("seed", seed)
    dice = random.Random(int(seed))
    site = Site(disks=(2000, 2001), file_system=True)
    site.control("writer", files="/data", disk=2000, rate=4 << 20, last=100000)
    site.control("writer", files="/data", disk=2001, rounds="400000", last=100000)
    words = ("--downtime", "1h", "--then", "echo x >> handed")
    took = 0.0
    for number in range(int(count) + 1):
        if os.path.exists("handed"):
            os.unlink("handed")
        while number:  # the first one is not killed: it tells how long it takes
            process = site.begin_cutover(*words)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.0, took))
                assert process.returncode == 0, said()
            if process.poll() is None:
                kill_all(process)
                break
            site.cutover("--abort")
        begin = time.monotonic()
        site.cutover(*words)
        took = took or time.monotonic() - begin
        site.check_end()
        assert journal()["step"] == "done"
        assert os.path.exists("handed"), said()
        site.cutover("--abort")
        assert site.is_on()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
