"""What can be known about a death from outside: wait status, /proc of the zombie, resource usage, the cgroup's OOM
counter.

Owns: reading it, before the command is reaped and after. Leaves judging it to the verdict. Never raises; what cannot be
read is absent.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from . import proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IO = (b"rchar", b"wchar", b"read_bytes", b"write_bytes")
_TICKS = os.sysconf("SC_CLK_TCK")
CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED = 2, 3, 4, 5, 6  # waitid(2), si_code


def wait_status(code: int, status: int) -> int:
    """Return the wait(2) status behind what waitid(2) said in si_code and si_status."""
    if code == CLD_DUMPED:
        return status | 0x80
    return status if code == CLD_KILLED else status << 8


def describe(status: int) -> dict[str, Any]:
    """Return a wait status in words: {wait_status, exit_code, term_signal, core, status}."""
    killed = os.WIFSIGNALED(status)
    number = os.WTERMSIG(status) if killed else 0
    code = None if killed else os.WEXITSTATUS(status)
    return {
        "wait_status": status,
        "exit_code": code,
        "term_signal": signal_name(number) if killed else None,
        "core": bool(killed and os.WCOREDUMP(status)),
        "status": "ok" if code == 0 else "failed",
    }


def signal_name(number: int) -> str:
    """Return `SIGSEGV` for 11; real-time signals are counted from SIGRTMIN, unknown ones are `SIG<number>`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        low, high = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
        return "SIGRTMIN+%d" % (number - low) if low <= number <= high else "SIG%d" % number


def sender(info: signal.struct_siginfo) -> dict[str, Any]:
    """Return who sent a signal: {"signal", "sender_pid", "sender_uid", "sender"}; the kernel (a terminal, a timer) has no pid."""
    found: dict[str, Any] = {"signal": signal_name(info.si_signo)}
    if info.si_code > 0:
        return {**found, "sender": "kernel"}
    found["sender_pid"], found["sender_uid"] = info.si_pid, info.si_uid
    try:
        with open("/proc/%d/comm" % info.si_pid, "rb") as file:
            found["sender"] = file.read().rstrip(b"\n").decode("utf-8", "backslashreplace")
    except OSError:
        pass  # it has gone, or belongs to another namespace of processes
    return found


def usage(rusage: Any) -> dict[str, Any]:
    """Return what wait4(2) knows: seconds of CPU, peak memory in KB (the command's own), faults, context switches."""
    return {
        "user_s": round(rusage.ru_utime, 6),
        "system_s": round(rusage.ru_stime, 6),
        "max_rss_kb": rusage.ru_maxrss,
        "major_faults": rusage.ru_majflt,
        "minor_faults": rusage.ru_minflt,
        "voluntary_switches": rusage.ru_nvcsw,
        "involuntary_switches": rusage.ru_nivcsw,
    }


def recorder_seconds(keeper: int) -> float:
    """Return the CPU seconds that this process, the shim, and its *keeper* have used so far, the start of `flightlog run` included."""
    above = proctree.look(keeper)
    return round(time.process_time() + (above.own / _TICKS if above is not None else 0.0), 3)


def of_zombie(pid: int) -> dict[str, Any]:
    """Return what /proc still says of a dead process that has not been reaped."""
    found: dict[str, Any] = {}
    try:
        with open("/proc/%d/io" % pid, "rb") as file:
            for line in file:
                name, _, value = line.partition(b":")
                if name in _IO:
                    found[name.decode()] = int(value)
    except (OSError, ValueError):
        pass
    try:
        with open("/proc/%d/oom_score_adj" % pid, "rb") as file:
            found["oom_score_adj"] = int(file.read())
    except (OSError, ValueError):
        pass
    return found


def oom_kills() -> int | None:
    """Return how many processes the OOM killer has killed in our memory cgroup so far; None when nobody counts."""
    try:
        with open("/proc/self/cgroup", "rb") as file:
            lines = file.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    best = None
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                best = _counter(root + path + "/memory.events", best)
        elif "memory" in controllers.split(","):
            best = _counter("/sys/fs/cgroup/memory" + path + "/memory.oom_control", best)
    return best


def _counter(path: str, before: int | None) -> int | None:
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return before


_LIMITS = {
    b"Max cpu time": "cpu",
    b"Max file size": "fsize",
    b"Max address space": "as",
    b"Max data size": "data",
    b"Max stack size": "stack",
    b"Max core file size": "core",
    b"Max open files": "nofile",
    b"Max processes": "nproc",
}
KERNEL_LINES = 5


def limits(pid: int) -> dict[str, int]:
    """Return the soft limits of a process, also of a zombie (proc(5), limits): {"cpu": seconds, "fsize": bytes, ...}; unlimited ones are left out."""
    found = {}
    for line in _lines("/proc/%d/limits" % pid):
        for title, name in _LIMITS.items():
            value = line[len(title) :].split()[:1]
            if line.startswith(title + b" ") and value and value[0].isdigit():
                found[name] = int(value[0])
    return found


def cgroup_of(pid: int) -> tuple[str, bool] | None:
    """Return the directory of a process's memory cgroup, and whether it is of version 2; None when there is none."""
    best = None
    for line in _lines("/proc/%d/cgroup" % pid):
        number, _, rest = line.decode("utf-8", "surrogateescape").partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return "/sys/fs/cgroup/memory" + path, False
        if number == "0" and not controllers:
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                if os.path.exists(root + path + "/memory.events"):
                    best = (root + path, True)
    return best


def memory_cgroup(pid: int) -> dict[str, int]:
    """Return {"limit", "peak", "oom_kill"} of a process's memory cgroup, bytes and a count since it was made; what nobody counts is left out."""
    where = cgroup_of(pid)
    if where is None:
        return {}
    folder, second = where
    names = ("memory.max", "memory.peak") if second else ("memory.limit_in_bytes", "memory.max_usage_in_bytes")
    found = {}
    for key, name in zip(("limit", "peak"), names):
        value = b"".join(_lines(folder + "/" + name)[:1]).strip()
        if value.isdigit() and int(value) < 1 << 60:  # version 1 writes "none" as a number that no machine has
            found[key] = int(value)
    count = _counter(folder + ("/memory.events" if second else "/memory.oom_control"), None)
    if count is not None:
        found["oom_kill"] = count
    return found


def kernel_lines(pid: int, since_ns: int) -> tuple[list[str], list[str]] | None:
    """Return what the kernel's log says since *since_ns* (monotonic): of process *pid*, and of kills for want of memory whomever they hit; the last 5 of each.

    None when it may not be read.

    /dev/kmsg (Documentation/ABI/testing/dev-kmsg): one record per read(2), `prio,seq,microseconds,flags;text`. Blocks on nothing.
    """
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    said: list[str] = []
    killed: list[str] = []
    try:
        about = (b"[%d]" % pid, b"process %d " % pid, b"process %d," % pid, b"pid=%d," % pid)
        while True:
            try:
                record = os.read(fd, 8192)
            except BlockingIOError:
                return said[-KERNEL_LINES:], killed[-KERNEL_LINES:]
            except OSError as problem:
                if problem.errno == errno.EPIPE:  # overtaken: the oldest ones are gone
                    continue
                return None
            head, _, rest = record.partition(b";")
            fields = head.split(b",")
            line = rest.split(b"\n")[0]
            if len(fields) < 3 or not fields[2].isdigit() or int(fields[2]) * 1000 < since_ns:
                continue
            text = line.decode("utf-8", "replace")[:400]
            if any(word in line for word in about):
                said.append(text)
            elif b"Killed process" in line:
                killed.append(text)
    finally:
        os.close(fd)


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).splitlines()
    except OSError:
        return []


def core_at(pid: int, folder: str, program: str, pattern: str | None = None) -> str:
    """Return where the core of process *pid* should be, as core(5) says, or what took it; empty when that cannot be known.

    Args:
        pid: of the process.
        folder: its working directory.
        program: its name, 15 characters as the kernel has it.
        pattern: the kernel's core_pattern; read when it is None.
    """
    if pattern is None:
        pattern = b"".join(_lines("/proc/sys/kernel/core_pattern")).decode("utf-8", "replace").strip()
    if pattern.startswith("|"):
        if "systemd-coredump" in pattern:
            return "coredumpctl info %d" % pid
        return "taken by %s" % pattern[1:].split(" ")[0]
    name, at = "", 0
    while at < len(pattern):
        if pattern[at] == "%" and at + 1 < len(pattern):
            at += 1
            known = {
                "p": str(pid),
                "P": str(pid),
                "e": program[:15],
                "%": "%",
                "h": os.uname().nodename,
                "u": str(os.getuid()),
            }
            if pattern[at] not in known:
                return ""
            name += known[pattern[at]]
        else:
            name += pattern[at]
        at += 1
    if not name:
        return ""
    if "%p" not in pattern and b"1" in b"".join(_lines("/proc/sys/kernel/core_uses_pid")):
        name += ".%d" % pid
    return os.path.join(folder, name)
