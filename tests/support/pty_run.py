#!/usr/bin/env python3
"""Runs a command on a terminal of 30 rows and 90 columns: pty_run.py COMMAND...

Says "stty size" to it, makes the terminal 41 x 101, says "stty size; exit 7", and prints what the
terminal showed. Ends with the command's exit code.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    pid, fd = pty.fork()
    if pid == 0:
        resize(0, 30, 90)
        os.execvp(sys.argv[1], sys.argv[1:])
    shown = b""
    begin = time.time()
    steps = [(b"# ", lambda: os.write(fd, b"stty size\n")),
             (b"30 90", lambda: (resize(fd, 41, 101), os.kill(pid, signal.SIGWINCH), time.sleep(1),
                                 os.write(fd, b"stty size; exit 7\n")))]
    while time.time() < begin + 20:
        if steps and steps[0][0] in shown:
            steps.pop(0)[1]()
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    else:
        os.kill(pid, signal.SIGKILL)
    sys.stdout.write(shown.decode(errors="replace"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
