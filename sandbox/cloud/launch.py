"""Start a program as another user, tied to the life of this one's parent: `launch.py [options] -- PROGRAM ARGS…`.

Run by the bare interpreter (`-I -S`), so it imports the standard library only. A program of its own, because what it
does between fork and exec cannot be done safely in a process with threads.
"""

import argparse
import ctypes
import os
import sys

_SET_DEATH_SIGNAL, _SET_KEEP_CAPABILITIES, _AMBIENT, _AMBIENT_RAISE = 1, 8, 47, 2  # <linux/prctl.h>
_VERSION_3 = 0x20080522  # <linux/capability.h>
_OVERRIDE, _SEARCH = 1, 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _keep_search(libc: ctypes.CDLL) -> None:
    """Keep the one capability that opens folders, through exec; containers often grant only the broader one."""
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    libc.capget(ctypes.byref(header), sets)
    capability = _SEARCH if sets[0].permitted & (1 << _SEARCH) else _OVERRIDE
    for index in range(2):
        mask = 1 << capability if index == 0 else 0
        sets[index].effective = sets[index].permitted = sets[index].inheritable = mask
    failed = libc.capset(ctypes.byref(header), sets) or libc.prctl(_AMBIENT, _AMBIENT_RAISE, capability, 0, 0)
    if failed:
        sys.exit(
            "this machine does not let another user enter the sandbox's folder (or the virtual environment): "
            "put both where everybody may enter, say under /var/tmp"
        )


def main() -> None:
    """Read the options, become the user, exec the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--death-signal", type=int, required=True, help="sent to the program when the parent dies")
    parser.add_argument("--user", help="uid:gid to become")
    parser.add_argument("--search", action="store_true", help="keep the capability to enter any folder")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if options.user:
        uid, gid = map(int, options.user.split(":"))
        if options.search:
            libc.prctl(_SET_KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        if options.search:
            _keep_search(libc)
    if sys.platform == "linux":
        libc.prctl(_SET_DEATH_SIGNAL, options.death_signal, 0, 0, 0)  # after the change of user, which clears it
        if os.getppid() != parent:
            sys.exit("the parent is gone")
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    os.execv(program[0], program)  # noqa: S606 — the list is Server's


main()
