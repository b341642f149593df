"""The threads of processes as the kernel shows them: what each one waits in, and for what.

    syscall     number, and its first arguments in hexadecimal (/proc/PID/task/TID/syscall): needs the right to trace; -1: in none; None: not allowed
    wchan       the kernel's function that it sleeps in (needs the right to read; "" when it is not told)

Owns: reading them, and which calls wait for what (`waits`). Leaves judging to `stall`, stacks to `stacks`. Never raises. Standard library only.
"""

from __future__ import annotations

import os

from . import proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
MOST = 256  # threads looked at in one process
# What a system call waits for, by its number.
_READ, _SOCKET, _FUTEX, _POLL, _SLEEP, _CHILD, _LOCK = "read", "socket", "futex", "poll", "sleep", "child", "lock"
_WRITE = "write"
_X86_64 = {
    0: _READ, 17: _READ, 19: _READ, 295: _READ, 1: _WRITE, 20: _WRITE, 275: _READ,
    42: _SOCKET, 43: _SOCKET, 45: _SOCKET, 47: _SOCKET, 288: _SOCKET, 299: _SOCKET, 44: _WRITE, 46: _WRITE,
    202: _FUTEX, 449: _FUTEX, 454: _FUTEX, 455: _FUTEX,
    7: _POLL, 23: _POLL, 232: _POLL, 270: _POLL, 271: _POLL, 281: _POLL, 441: _POLL, 426: _POLL,
    35: _SLEEP, 230: _SLEEP, 34: _SLEEP, 128: _SLEEP, 130: _SLEEP,
    61: _CHILD, 247: _CHILD, 72: _LOCK, 73: _LOCK, 65: _LOCK, 220: _LOCK,
}  # fmt: skip
_GENERIC = {  # aarch64, riscv64
    63: _READ, 65: _READ, 67: _READ, 64: _WRITE, 66: _WRITE, 76: _READ,
    203: _SOCKET, 202: _SOCKET, 207: _SOCKET, 212: _SOCKET, 242: _SOCKET, 243: _SOCKET, 206: _WRITE, 211: _WRITE,
    98: _FUTEX, 449: _FUTEX, 454: _FUTEX, 455: _FUTEX,
    72: _POLL, 73: _POLL, 22: _POLL, 441: _POLL, 426: _POLL,
    101: _SLEEP, 115: _SLEEP, 133: _SLEEP, 137: _SLEEP,
    260: _CHILD, 95: _CHILD, 25: _LOCK, 32: _LOCK, 193: _LOCK, 192: _LOCK,
}  # fmt: skip
_CALLS: dict[str, dict[int, str]] = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}
_calls = _CALLS.get(os.uname().machine, {})
_PRIVATE = 128
_futex = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(os.uname().machine, -1)
# The same by the function that the kernel sleeps in, where calls may not be seen.
_WCHANS = (
    ("futex", _FUTEX), ("hrtimer_nanosleep", _SLEEP), ("do_nanosleep", _SLEEP), ("common_nsleep", _SLEEP), ("sigsuspend", _SLEEP),
    ("pipe_read", _READ), ("n_tty_read", _READ), ("wait_woken", _SOCKET), ("pipe_write", _WRITE), ("pipe_wait", _READ),
    ("sk_wait", _SOCKET), ("skb_wait", _SOCKET), ("unix_stream", _SOCKET), ("inet_csk", _SOCKET), ("recv", _SOCKET),
    ("do_poll", _POLL), ("ep_poll", _POLL), ("do_select", _POLL), ("do_sys_poll", _POLL), ("poll_schedule", _POLL), ("do_epoll", _POLL),
    ("do_wait", _CHILD), ("kernel_wait", _CHILD), ("flock", _LOCK), ("locks_", _LOCK), ("fcntl_setlk", _LOCK),
)  # fmt: skip


class Thread:
    """One thread at one moment.

    Attributes:
        pid, tid, name: which one.
        state: a letter.
        cpu_ns: CPU used.
        ready_ns: how long it was ready and had to wait for a CPU: without it a busy thread beside others does not look busy.
        switches: how often it gave the CPU up by itself.
        wchan: see the module.
        syscall: its number; -1: in none; None: that may not be seen.
        arguments: of the call.
        waits: read, write, socket, futex, poll, sleep, child, lock; empty: for nothing that is known.
        fd: the descriptor that it reads or writes; -1: none.
        forever: whether it waits without a time limit, as far as that can be seen.
        private: whether only a thread of the same process can release the lock that it waits for (FUTEX_PRIVATE_FLAG).
    """

    __slots__ = (
        "arguments",
        "cpu_ns",
        "fd",
        "forever",
        "name",
        "pid",
        "private",
        "ready_ns",
        "state",
        "switches",
        "syscall",
        "target",
        "tid",
        "waits",
        "wchan",
    )

    def __init__(self, pid: int, tid: int) -> None:
        self.pid, self.tid = pid, tid
        self.name = self.state = self.wchan = self.waits = self.target = ""
        self.cpu_ns = self.ready_ns = self.switches = 0
        self.syscall: int | None = None
        self.arguments: list[int] = []
        self.fd = -1
        self.forever = self.private = False

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs."""
        return {
            "pid": self.pid,
            "tid": self.tid,
            "name": self.name,
            "state": self.state,
            "wchan": self.wchan,
            "syscall": self.syscall,
            "waits": self.waits,
            "fd": self.fd if self.fd >= 0 else None,
            "target": self.target,
        }


def look(pid: int, tid: int) -> Thread | None:
    """Return one thread; None when there is none."""
    at = "/proc/%d/task/%d/" % (pid, tid)
    data = proctree.read(at + "stat")
    end = data.rfind(b")")
    if end < 0:
        return None
    thread = Thread(pid, tid)
    try:
        thread.name = data[data.index(b"(") + 1 : end].decode("utf-8", "backslashreplace")
        fields = data[end + 2 :].split()
        thread.state = fields[0].decode()
        scheduled = proctree.read(at + "schedstat").split()
        if len(scheduled) == 3:
            thread.cpu_ns, thread.ready_ns = int(scheduled[0]), int(scheduled[1])
        else:
            thread.cpu_ns = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS
        status = proctree.read(at + "status")
        found = status.find(b"voluntary_ctxt_switches:")
        thread.switches = int(status[found:].split()[1]) if found >= 0 else 0
    except (ValueError, IndexError):
        return None
    thread.wchan = proctree.read(at + "wchan").decode("ascii", "replace").strip().strip("0")
    _see_call(thread, proctree.read(at + "syscall").split())
    if not thread.waits and thread.state in "SD":
        thread.waits = next((waits for word, waits in _WCHANS if word in thread.wchan), "")
    return thread


def _see_call(thread: Thread, words: list[bytes]) -> None:
    if not words:
        return
    if words[0] == b"running":
        thread.syscall = -1
        return
    try:
        thread.syscall = int(words[0])
        thread.arguments = [int(word, 16) for word in words[1:7]]
    except ValueError:
        return
    thread.waits = _calls.get(thread.syscall, "")
    if thread.waits in (_READ, _WRITE, _SOCKET, _LOCK) and thread.arguments:
        thread.fd = thread.arguments[0]
        try:
            thread.target = os.readlink("/proc/%d/fd/%d" % (thread.pid, thread.fd))
        except OSError:
            pass
    if thread.waits == _FUTEX:
        # futex(2): address, operation, value, time limit; the newer calls have no such flag, and pthreads do not use them.
        known = thread.syscall == _futex and len(thread.arguments) >= 4
        thread.forever = known and thread.arguments[3] == 0
        thread.private = known and bool(thread.arguments[1] & _PRIVATE)
    elif thread.waits == _READ and thread.target.startswith("socket:"):
        thread.waits = _SOCKET


def threads(pid: int) -> list[Thread]:
    """Return the threads of a process, the main one first, at most 256."""
    found = []
    for tid in sorted(proctree.threads_of(pid))[:MOST]:
        thread = look(pid, tid)
        if thread is not None:
            found.append(thread)
    return found
