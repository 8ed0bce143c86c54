#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""completion.py bash|zsh LINE [FILE...]: types LINE in a shell on a terminal of its own, asks for its completions, and
prints the words that the shell puts in place of the last one, a word each line. FILEs are sourced by bash; for zsh they
are directories of its fpath. Works in the current directory."""

import os
import pty
import re
import select
import signal
import sys
import tempfile
import time

SECONDS = 120
READY = "READY>"
ALL, SHOW = b"\x18\x01", b"\x18\x04"  # Ctrl-X Ctrl-A, Ctrl-X Ctrl-D

# insert-completions and _all_matches insert every match, whether it is one or many.
BASH = r"""
PS1='READY''> '
for file in {files}; do . "$file"; done
bind '"\C-x\C-a": insert-completions'
bind -x '"\C-x\C-d": printf %s "$READLINE_LINE" > {answer}.new; mv {answer}.new {answer}'
"""
ZSH = r"""
PS1='READY''> '
fpath=({files} $fpath)
autoload -Uz compinit
compinit -u -d {answer}.dump
zle -C all-matches complete-word _generic
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
bindkey '^X^A' all-matches
show() {{ print -rn -- $BUFFER > {answer}.new; command mv {answer}.new {answer} }}
zle -N show
bindkey '^X^D' show
"""


def start(shell, directory, files):
    """A shell on a new terminal: its process id and the terminal."""
    answer = os.path.join(directory, "answer")
    text = (BASH if shell == "bash" else ZSH).format(files=" ".join(files), answer=answer)
    name = os.path.join(directory, ".bashrc" if shell == "bash" else ".zshrc")
    with open(name, "w") as file:
        file.write(text)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "dumb", "ZDOTDIR": directory, "INPUTRC": "/dev/null", "HISTFILE": "/dev/null"}
        os.execvp(shell, ["bash", "--rcfile", name, "--noprofile", "-i"] if shell == "bash" else ["zsh", "-d", "-i"])
    return pid, terminal


def read_until(terminal, done):
    """Reads what the shell prints until done(all of it) is true."""
    seen, deadline = b"", time.monotonic() + SECONDS
    while not done(seen):
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain; the shell printed {seen.decode(errors='replace')!r}")
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the shell has ended
                sys.exit(f"the shell ended; it printed {seen.decode(errors='replace')!r}")


def completions(shell, line, files):
    with tempfile.TemporaryDirectory(dir=".") as directory:
        directory = os.path.abspath(directory)
        answer = os.path.join(directory, "answer")
        pid, terminal = start(shell, directory, files)
        try:
            read_until(terminal, lambda seen: READY.encode() in seen)
            os.write(terminal, line.encode() + ALL + SHOW)
            read_until(terminal, lambda _: os.path.exists(answer))
            with open(answer) as file:
                completed = file.read()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)
    typed = re.split(r"\s", line)[:-1]
    return completed.split()[len(typed):]


if __name__ == "__main__":
    print("\n".join(completions(sys.argv[1], sys.argv[2], sys.argv[3:])))
