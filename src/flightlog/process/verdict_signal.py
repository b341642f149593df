"""Deaths by a signal: whose it was, as far as anybody can know.

Owns: the rules for a command whose wait status names a signal (signal(7), getrlimit(2), the kernel's words for the OOM killer). Leaves our own
kills to `verdict`, exit codes to `verdict_exit`. Pure; see `case` for what it is given.
"""

from __future__ import annotations

from .. import later
from .case import LIKELY, PROVEN, UNKNOWN, Case, Finding, describe_fault

_NATIVE = frozenset(("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"))
_ASKED = frozenset(("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"))
_SEGFAULT = later.pattern(r"segfault at ([0-9a-f]{1,16}) ip .* error ([0-9a-f]{1,8})(?: in ([^\[\s]+))?")
NULL_PAGE = 4096
# What C libraries print before they abort.
_ABORT_WORDS = (
    "Assertion",
    "assertion",
    "free():",
    "malloc",
    "double free",
    "corrupted",
    "stack smashing",
    "terminate called",
    "Fatal Python error",
)
_FAULTHANDLER = "Fatal Python error: Aborted"  # which says it of any SIGABRT
_WATCHDOG = "systemd does that to a service that has not said WATCHDOG=1 in time (WatchdogSec=)"
# The limit is held against a clock of whole ticks, taken at samples; the time used is measured. On a busy machine they come apart.
CLOCKS_APART, FAR_APART = 0.25, 1.0


def judge(case: Case) -> Finding:
    """Return why a signal ended it."""
    rule = {
        "SIGKILL": _killed,
        "SIGXCPU": _cpu,
        "SIGXFSZ": _file,
        "SIGABRT": _aborted,
        "SIGPIPE": _pipe,
    }.get(case.signal)
    if rule is not None:
        return rule(case)
    if case.signal in _NATIVE:
        return _crashed(case)
    if case.signal in _ASKED:
        return _asked(case)
    return Finding("unknown", UNKNOWN, ["it died of %s; who sent it cannot be known" % case.signal])


def _killed(case: Case) -> Finding:
    named = case.kernel("Killed process")
    if named:
        own = "emory cgroup out of memory" in named
        return Finding("oom-cgroup" if own else "oom-host", PROVEN, ["the kernel says: %s" % named, *_memory(case)])
    if case.oom_kills:
        because = ["SIGKILL, and its memory cgroup lost %d processes to the OOM killer meanwhile" % case.oom_kills]
        return Finding("oom-cgroup", LIKELY, because + _memory(case))
    limit, used = case.number("cpu", "limits"), case.cpu_seconds
    if limit is not None and used is not None and used >= limit - CLOCKS_APART:
        return Finding(
            "cpu-limit",
            PROVEN if used >= limit else LIKELY,
            ["it used %.1f s of CPU time, its limit is %d s" % (used, limit)],
        )
    if case.text("keeper") == "killed":
        return Finding(
            "stopped-outside",
            PROVEN,
            ["somebody killed its keeper, and the command ends with that as it would without"],
        )
    sender = _sender(case)
    if sender:
        return Finding("stopped-outside", PROVEN, [sender])
    if limit is not None and used is not None and used >= max(limit - FAR_APART, limit / 2):
        said = "SIGKILL at about its limit of CPU time (%.1f of %d s used): from the kernel, or from a process"
        return Finding("unknown", UNKNOWN, [said % (used, limit)])
    if case.oom_kills == 0:  # the kernel's own reason for it is out of the question; what is left is a process
        return Finding("stopped-outside", LIKELY, ["SIGKILL from a process; the kernel does not tell which"])
    return Finding("unknown", UNKNOWN, ["SIGKILL; neither the sender nor the kernel's OOM counter could be seen"])


def _cpu(case: Case) -> Finding:
    limit, used = case.number("cpu", "limits"), case.cpu_seconds
    known = (
        limit is not None and used is not None and used >= limit - 1.2
    )  # with each SIGXCPU the kernel raises the limit by 1 s
    because = ["SIGXCPU"]
    if limit is not None and used is not None:
        because = ["SIGXCPU: it used %.1f s of CPU time, and may use no more (ulimit -t)" % used]
    return Finding("cpu-limit", PROVEN if known else LIKELY, because)


def _file(case: Case) -> Finding:
    limit = case.number("fsize", "limits")
    because = ["SIGXFSZ" if limit is None else "SIGXFSZ: files may have %d bytes (ulimit -f)" % limit]
    return Finding("file-limit", LIKELY if limit is None else PROVEN, because)


def _aborted(case: Case) -> Finding:
    words = case.says(*_ABORT_WORDS)
    if "bad_alloc" in words or case.says("std::bad_alloc"):
        return Finding("memory-error", LIKELY, ["SIGABRT after std::bad_alloc: no memory was left for it"])
    sender = _sender(case)
    if sender and (not words or _FAULTHANDLER in words):
        watchdog = [_WATCHDOG] if "from systemd" in sender else []
        return Finding("stopped-outside", PROVEN, [sender, *watchdog, *_python_place(case)])
    because = ["SIGABRT"] + (["it said: %s" % words] if words else []) + _python_place(case)
    return Finding("abort", PROVEN if words and _FAULTHANDLER not in words else LIKELY, because)


def _pipe(case: Case) -> Finding:
    gone = case.listed("broken")
    if gone:
        return Finding("collateral", PROVEN, ["SIGPIPE: who read its %s has gone" % gone[0]])
    return Finding("collateral", LIKELY, ["SIGPIPE: who read what it wrote has gone"])


def _crashed(case: Case) -> Finding:
    named = case.kernel("segfault") or case.kernel("trap ") or case.kernel("general protection")
    because = ["%s%s" % (case.signal, ", core dumped" if case.flag("core") else "")] + _python_place(case)
    if case.text("core_at"):
        because.append("its core: %s" % case.text("core_at"))
    if named:
        return Finding("native-crash", PROVEN, because + _address(named) + ["the kernel says: %s" % named])
    sender = _sender(case)
    if sender:
        return Finding("stopped-outside", PROVEN, [sender])
    return Finding("native-crash", LIKELY, because)


def _address(line: str) -> list[str]:
    """Return what the kernel's line on a fault means: `segfault at <address> ip .. sp .. error <bits> in <object>[..]`; bit 1 of error: it wrote."""
    found = _SEGFAULT.search(line)
    if found is None:
        return []
    address, bits = int(found.group(1), 16), int(found.group(2), 16)
    what = "a null pointer" if address < NULL_PAGE else "an address that is not its own (%x)" % address
    inside = " in %s" % found.group(3) if found.group(3) else ""
    return ["%s was %s%s" % (what, "written to" if bits & 2 else "read", inside)]


def _asked(case: Case) -> Finding:
    if case.signal == "SIGINT" and case.root is not None and case.root.get("type") == "KeyboardInterrupt":
        return Finding("stopped-outside", LIKELY, ["SIGINT (Ctrl-C, or another process)", describe_fault(case.root)])
    sender = _sender(case)
    if sender:
        return Finding("stopped-outside", PROVEN, [sender])
    return Finding("stopped-outside", LIKELY, ["%s; who sent it was not seen" % case.signal])


def _sender(case: Case) -> str:
    """Return who sent the signal it died of, as the keeper or a handler saw it."""
    for note in reversed(case.signals):
        if note.get("signal") == case.signal:
            name, pid = note.get("sender"), note.get("sender_pid")
            who = " ".join(str(part) for part in (name, pid and "process %s" % pid) if part)
            return "%s came from %s" % (case.signal, who or "outside")
    return ""


def _python_place(case: Case) -> list[str]:
    """Return where Python was, from faulthandler's text."""
    crash = case.text("dump").rpartition("Fatal Python error")[
        2
    ]  # what stands before it are stacks that somebody asked for
    frames = [line.strip() for line in crash.splitlines() if line.strip().startswith('File "')]
    return ["Python was at %s" % frames[0]] if frames else []


def _memory(case: Case) -> list[str]:
    limit, peak, trend = case.number("limit", "cgroup"), case.number("peak", "cgroup"), case.memory_trend()
    said = [trend] if trend else []
    if limit and peak:
        said.append("memory of the cgroup: peak %d MiB, limit %d MiB" % (peak >> 20, limit >> 20))
    return said
