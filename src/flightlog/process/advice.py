"""What to do about a verdict: one or two sentences per word. Pure. Owns: these sentences. Leaves the cause to `verdict`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ADVICE = {
    "ok-odd": ["compare it with an ordinary run: flightlog logs {run}"],
    "ok-degraded": [
        "it did not fail, but part of its work did: flightlog logs {run} -p error",
        "let the main thread wait for what it starts, and look at results of futures",
    ],
    "exit-status": ["its own words are the best evidence: flightlog logs {run} -n 50"],
    "python-exception": ["flightlog logs {run} -p error -o full shows the whole traceback"],
    "config-error": ["correct the settings or arguments; starting it again changes nothing"],
    "exec-failure": ["check path and permissions of the program; starting it again changes nothing"],
    "memory-error": ["an allocation was refused: raise the limit (ulimit -v), or let it work in smaller pieces"],
    "oom-cgroup": ["raise the memory limit of its cgroup, or let it work in smaller pieces"],
    "oom-host": ["the whole machine was short of memory: see what else ran there, set limits for it"],
    "cpu-limit": ["raise or remove the limit (ulimit -t)"],
    "file-limit": ["raise or remove the limit (ulimit -f)"],
    "native-crash": ["a fault in native code: keep a core (ulimit -c unlimited), and look at it with pystack or gdb"],
    "abort": ["a library gave up by itself: read what it said last; keep a core (ulimit -c unlimited)"],
    "hang-killed": ["see where it hung: flightlog logs {run} -p warning; its stacks are recorded there"],
    "deadline": ["it takes longer than it may: see where the time goes, or give it more"],
    "stopped-outside": ["ask who sent the signal: a scheduler, systemd, a person"],
    "collateral": ["it died because another process had: look at that one first"],
    "host-restart": ["start it again; see why the machine was restarted: last -x reboot"],
}
_KILLED = ["nothing here proves who sent SIGKILL: see dmesg, the scheduler's and systemd's logs of that minute"]


def advise(verdict: str, evidence: dict[str, Any], run: str) -> list[str]:
    """Return what to do, the most useful first; empty when there is nothing to do."""
    if verdict == "unknown":
        return _KILLED if evidence.get("term_signal") == "SIGKILL" else []
    return [sentence.format(run=run) for sentence in _ADVICE.get(verdict, [])]
