# SPDX-License-Identifier: BSD-3-Clause
"""A guest of QEMU: its disk in a qemu-storage-daemon, which is told what to do by QMP (QEMU's QMP reference manual).

Used as a program: qemu_guest.py SOCKET COMMAND [ARGUMENTS...], where SOCKET is the daemon's QMP socket.

    begin CHECKPOINT                 a bitmap of that name records what the guest writes from now on
    freeze CHECKPOINT [SINCE]        the export "frozen" shows the disk as of now, with the bitmap SINCE; the guest goes on
                                     writing, which the bitmap CHECKPOINT records
    thaw                             ends that
    merge SINCE CHECKPOINT           what SINCE has recorded is added to CHECKPOINT
    drop CHECKPOINT                  removes a bitmap
"""
import json
import socket
import sys
import time


class Qmp:
    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._stream = connection.makefile("rw")
        self._next()
        self("qmp_capabilities")

    def _next(self):
        return json.loads(self._stream.readline())

    def __call__(self, command, **arguments):
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while True:
            answer = self._next()
            if "error" in answer:
                raise SystemExit(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


def action(kind, /, **data):
    return {"type": kind, "data": data}


def begin(qmp, checkpoint):
    qmp("block-dirty-bitmap-add", node="disk", name=checkpoint, persistent=True)


def freeze(qmp, checkpoint, since=None):
    """All in one transaction: no write of the guest falls between the bitmaps, or between them and the frozen disk."""
    qmp("blockdev-add", driver="qcow2", **{"node-name": "old-blocks"}, backing="disk",
        file={"driver": "file", "filename": "old-blocks.qcow2"})
    actions = [action("block-dirty-bitmap-add", node="disk", name=checkpoint, persistent=True)]
    if since:
        actions.append(action("block-dirty-bitmap-disable", node="disk", name=since))
    actions.append(action("blockdev-backup", **{"job-id": "freeze"}, device="disk", target="old-blocks", sync="none"))
    qmp("transaction", actions=actions)
    bitmaps = {"bitmaps": [{"node": "disk", "name": since}]} if since else {}
    qmp("block-export-add", type="nbd", id="frozen", name="frozen", **{"node-name": "old-blocks"}, **bitmaps)


def thaw(qmp):
    qmp("block-export-del", id="frozen", mode="hard")
    wait(lambda: not any(e["id"] == "frozen" for e in qmp("query-block-exports")))
    qmp("block-job-cancel", device="freeze")
    wait(lambda: not qmp("query-block-jobs"))
    qmp("blockdev-del", **{"node-name": "old-blocks"})


def merge(qmp, since, checkpoint):
    qmp("block-dirty-bitmap-merge", node="disk", target=checkpoint, bitmaps=[since])


def drop(qmp, checkpoint):
    qmp("block-dirty-bitmap-remove", node="disk", name=checkpoint)


def wait(condition):
    while not condition():
        time.sleep(0.01)


COMMANDS = {"begin": begin, "freeze": freeze, "thaw": thaw, "merge": merge, "drop": drop}

if __name__ == "__main__":
    COMMANDS[sys.argv[2]](Qmp(sys.argv[1]), *sys.argv[3:])
