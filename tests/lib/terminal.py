#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run a command on a terminal of its own: terminal.py ANSWER... -- COMMAND...
Each time the output ends in ": " the next answer is typed, and behind the last one an end of file.  Prints the output; exits with the command's status."""
import os
import pty
import sys

at = sys.argv.index("--")
answers, command = sys.argv[1:at], sys.argv[at + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen = b""
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if seen.endswith(b": "):
        os.write(fd, answers.pop(0).encode() + b"\n" if answers else b"\x04")
sys.stdout.write(seen.decode(errors="replace").replace("\r\n", "\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
