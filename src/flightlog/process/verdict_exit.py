"""Ends by an exit code: an exception, a limit, a missing program, a success that hides a failure.

Owns: the rules for a command that exited. Sources of the codes: sysexits.h (78 configuration, 64 usage), POSIX shells (126, 127, 128 + n), GNU
coreutils' timeout (124). Leaves signals to `verdict_signal`. Pure; see `case` for what it is given.
"""

from __future__ import annotations

from .. import later
from .case import LIKELY, PROVEN, Case, Finding, describe_fault

_MEMORY = frozenset(("MemoryError", "OutOfMemoryError", "_ArrayMemoryError"))
_BROKEN_POOL = frozenset(("BrokenProcessPool", "BrokenExecutor", "WorkerLostError"))
_CONFIG_MODULES = ("yaml", "configparser", "tomllib", "tomli", "toml.decoder", "ruamel")
# By which Python itself says that what is printed comes from a place nobody waited for.
_DEGRADED_WORDS = (
    "Exception in thread",
    "Exception ignored in",
    "Task exception was never retrieved",
    "Error in atexit",
    "Exception in callback",
)
_KILLED_PID = later.pattern(r"(?m): line \d{1,9}: +(\d{1,9}) Killed\b")  # as bash puts it
_BY_SHELL = {
    "SIGSEGV": "native-crash",
    "SIGBUS": "native-crash",
    "SIGFPE": "native-crash",
    "SIGILL": "native-crash",
    "SIGABRT": "abort",
    "SIGTERM": "stopped-outside",
    "SIGINT": "stopped-outside",
    "SIGHUP": "stopped-outside",
    "SIGXCPU": "cpu-limit",
    "SIGXFSZ": "file-limit",
    "SIGPIPE": "collateral",
}


def failed(case: Case) -> Finding:
    """Return why it exited with a code that is not 0."""
    return _exception(case) or _killed_inside(case) or _printed(case) or _by_code(case)


def succeeded(case: Case) -> Finding:
    """Return whether a code of 0 is the whole truth."""
    if case.faults:
        first = case.faults[0]
        because = ["it exited with 0, but something inside died: %s" % describe_fault(first)]
        if len(case.faults) > 1:
            because.append("and %d more faults" % (len(case.faults) - 1))
        inside = any(fault["kind"] != "uncaught" or case.is_own(fault) for fault in case.faults)
        return Finding(
            "ok-degraded", PROVEN if inside else LIKELY, because
        )  # who started a child may have expected it to fail
    said = case.says(*_DEGRADED_WORDS)
    if said:
        return Finding("ok-degraded", LIKELY, ["it exited with 0, but said: %s" % said])
    if case.oom_kills:
        return Finding("ok-degraded", LIKELY, ["it exited with 0, but the OOM killer struck in its memory cgroup"])
    return _unusual(case) or Finding("ok", PROVEN, ["it exited with 0"])


def _unusual(case: Case) -> Finding | None:
    """A success unlike those before it: without a line where others have many, or over in no time, or after ages."""
    runs = case.number("runs", "history")
    if not runs:
        return None
    for name, unit in (("lines", "lines"), ("seconds", "s")):
        least, middle, most, now = case.usual(name)
        few = name == "lines" or middle > 10  # whatever takes no time may take a tenth of that
        if few and now < least / 10 and least >= 10:
            return Finding(
                "ok-odd", LIKELY, ["%.4g %s, where %d good runs had %.4g to %.4g" % (now, unit, runs, least, most)]
            )
        if name == "seconds" and now > most * 3 and most > 1:
            return Finding(
                "ok-odd", LIKELY, ["it took %.4g s, where %d good runs took %.4g to %.4g" % (now, runs, least, most)]
            )
    return None


def _exception(case: Case) -> Finding | None:
    """An exception that nobody caught. Of several processes' the first is the root."""
    root = case.root
    if root is None:
        return None
    kind, message = str(root.get("type") or ""), str(root.get("message") or "")
    because = [describe_fault(root)]
    others = len({fault.get("pid") for fault in case.faults}) - 1
    if others > 0:
        because.append("it came first; %d other process%s failed after it" % (others, "" if others == 1 else "es"))
    name = kind.rpartition(".")[2]
    if name in _MEMORY or "CUDA out of memory" in message:
        limit = case.number("as", "limits")
        return Finding(
            "memory-error",
            PROVEN,
            because + (["its address space is limited to %d MiB" % (limit >> 20)] if limit else []),
        )
    if name in _BROKEN_POOL:
        return _broken_pool(case, because)
    if name == "OSError" and "[Errno 27]" in message:
        return Finding("file-limit", PROVEN if case.number("fsize", "limits") is not None else LIKELY, because)
    if name == "SystemExit":
        return Finding("exit-status", PROVEN, because)
    if str(root.get("module") or "").startswith(_CONFIG_MODULES):
        return Finding("config-error", LIKELY, because)
    own = root["kind"] == "uncaught" and case.is_own(root)
    return Finding("python-exception", PROVEN if own else LIKELY, because)


def _broken_pool(case: Case, because: list[str]) -> Finding:
    if case.oom_kills:
        said = "a worker was killed, and the OOM killer struck in its memory cgroup"
        return Finding("oom-cgroup", LIKELY, [*because, said])
    return Finding("collateral", LIKELY, [*because, "a worker process had ended abruptly before"])


def _killed_inside(case: Case) -> Finding | None:
    """A shell says 128 + n for signal n. Other programs may mean anything by such a number."""
    code = case.code or 0
    if case.program == "timeout" and code == 124:
        return Finding("deadline", LIKELY, ["timeout ended it (exit 124)"])
    if case.oom_kills:
        return Finding(
            "oom-cgroup", LIKELY, ["it exited with %d after the OOM killer had struck in its memory cgroup" % code]
        )
    others = _of_the_killed(case, case.listed("kernel_oom"))
    if others and (case.says("Killed") or code == 137):
        own = "emory cgroup out of memory" in others[-1]
        return Finding(
            "oom-cgroup" if own else "oom-host", LIKELY, ["it said: Killed", "the kernel says: %s" % others[-1]]
        )
    if not case.is_shell or not 128 < code < 160:
        return None
    name = case.signal_name(code - 128)
    verdict = _BY_SHELL.get(name)
    because = ["exit %d of a shell: what it waited for died of %s" % (code, name)]
    if verdict:
        return Finding(verdict, LIKELY, because)
    if name == "SIGKILL" and case.oom_kills == 0:
        return Finding("stopped-outside", LIKELY, because)
    return None


def _of_the_killed(case: Case, kernel: list[str]) -> list[str]:
    """Return the lines of the *kernel* on kills for want of memory that may be meant: not a neighbour's, where the shell says which process was killed."""
    pids = _KILLED_PID.findall(case.tail)
    return [line for line in kernel if any("Killed process %s " % pid in line for pid in pids)] if pids else kernel


def _printed(case: Case) -> Finding | None:
    """What it said last, of programs that no SDK of ours is in."""
    line = case.traceback_end()
    if line:
        if line.partition(":")[0].rpartition(".")[2] in _MEMORY:
            return Finding("memory-error", LIKELY, ["its output ends with: %s" % line])
        if line.startswith("OSError: [Errno 27]"):
            return Finding(
                "file-limit",
                LIKELY if case.number("fsize", "limits") is None else PROVEN,
                ["its output ends with: %s" % line],
            )
        if line.partition(":")[0].rpartition(".")[2] in _BROKEN_POOL:
            return _broken_pool(case, ["its output ends with: %s" % line])
        if line.startswith(_CONFIG_MODULES):
            return Finding("config-error", LIKELY, ["its output ends with: %s" % line])
        return Finding("python-exception", LIKELY, ["its output ends with: %s" % line])
    said = case.says(
        "java.lang.OutOfMemoryError",
        "JavaScript heap out of memory",
        "std::bad_alloc",
        "Cannot allocate memory",
        "MemoryError",
    )
    if said:
        return Finding("memory-error", LIKELY, ["it said: %s" % said])
    if case.code in (126, 127) and case.is_shell:
        said = case.says(
            "not found", "ermission denied", "No such file", "cannot execute", "bad interpreter", "Exec format"
        )
        return Finding(
            "exec-failure", LIKELY, ["exit %s of a shell" % case.code] + (["it said: %s" % said] if said else [])
        )
    said = case.says("can't open file")
    if case.is_python and case.code == 2 and said:
        return Finding("exec-failure", LIKELY, ["it said: %s" % said])
    said = case.says("File size limit exceeded", "File too large")
    if said and case.number("fsize", "limits") is not None:
        return Finding("file-limit", LIKELY, ["it said: %s" % said])
    return None


def _by_code(case: Case) -> Finding:
    if case.code == 78:
        return Finding("config-error", LIKELY, ["exit 78 (EX_CONFIG)"])
    usage = case.says("usage:", "Usage:")
    if case.code == 64 or (case.code == 2 and usage):
        return Finding(
            "config-error", LIKELY, ["exit %d: it was called wrongly" % case.code] + ([usage] if usage else [])
        )
    because = ["it exited with %s" % case.code]
    last = [line.strip() for line in case.tail.splitlines() if line.strip()]
    return Finding("exit-status", PROVEN, because + (["its last line: %s" % last[-1][:200]] if last else []))
