"""Which process this is, and whether another one is certainly gone.

Decides only what can be proven: a process that ran on this very boot of this machine, in this
pid namespace, and does not exist any more. Anything else is "not known". Linux only; elsewhere
nothing is ever proven.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Return a mark of this process: boot, pid namespace, pid, start time; "" if not known."""
    return _mark(os.getpid())


def certainly_gone(mark: str) -> bool:
    """Tell whether the process of a mark has ended for sure.

    A pid that was given to a new process is told by its start time (field 22 of /proc/PID/stat).
    """
    place, _, rest = mark.rpartition("/pid-")
    pid, _, _ = rest.partition("/")
    if not place or not pid.isdecimal() or len(pid) > 10 or place != _place():
        return False
    now = _mark(int(pid))
    if now:
        return now != mark
    try:
        os.kill(int(pid), 0)  # signal 0 sends nothing; it also sees what a mount option hides
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _mark(pid: int) -> str:
    place = _place()
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets
    if not place or len(fields) < 20:
        return ""
    started = "ended" if fields[0] in ("Z", "X") else fields[19]  # nobody has asked how it ended
    return f"{place}/pid-{pid}/{started}"


def _place() -> str:
    """Return the boot of this machine and the pid namespace, in which a pid means something."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = (_PROC / "self/ns/pid").readlink().name
    except (OSError, ValueError):
        return ""
    return f"{boot}/{space}" if boot else ""
