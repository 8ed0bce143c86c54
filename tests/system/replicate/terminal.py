#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""terminal.py COLUMNS PATTERN PIPE COMMAND...: runs the command in a terminal.

When what the terminal shows matches the regular expression, that is printed, and the pipe is opened and removed. At
the end, what the terminal shows is printed as well, with what has scrolled away. Exits with the status of the command,
or with 99 if nothing has matched.
"""
import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pyte


def shown(screen):
    lines = ["".join(row[column].data for column in range(screen.columns)) for row in screen.history.top]
    return "\n".join(line.rstrip() for line in [*lines, *screen.display]).rstrip()


columns, pattern, held, *command = sys.argv[1:]
screen = pyte.HistoryScreen(int(columns), 30, history=1000)
stream = pyte.ByteStream(screen)
process, terminal = pty.fork()
if process == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, int(columns), 0, 0))
    os.environ["TERM"] = "xterm-256color"
    os.execvp(command[0], command)
found = False
while True:
    try:
        data = os.read(terminal, 1 << 16)
    except OSError:  # the command has ended
        break
    stream.feed(data)
    if not found and re.search(pattern, shown(screen)):
        found = True
        print("---- in the middle", shown(screen), sep="\n")
        pipe = os.open(held, os.O_RDWR)  # whoever waits to open it goes on
        os.unlink(held)
        os.close(pipe)
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
print("---- at the end", shown(screen), sep="\n")
if screen.cursor.hidden:
    print("---- the cursor is hidden")
sys.exit(status if found else 99)
