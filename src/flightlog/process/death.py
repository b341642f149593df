"""Everything that is known when a command has ended, in the form that the judge takes: the data of `run.ended`.

Made before the command begins, so that counters have a beginning to be compared with. Invariants: never raises; what cannot be read is absent;
reads little (64 KB of the kernel's log, 4 KB of output), at the end of a run only. Owns: putting it together. Leaves single facts to `evidence`,
its file to `journal.evidence`, the cause to `verdict`.
"""

from __future__ import annotations

import os
import signal
import time

from .. import identity, redact
from ..journal import evidence as notes
from ..journal.mark import find_copies
from . import evidence
from .page import BROKEN
from .verdict import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from .pump import Pump
    from .setup import Setup

TAIL_BYTES = 16384  # what is judged
KEPT_BYTES = 4096  # what is kept of it
MAX_TAIL_LINES = 20
# Signals that come from outside, to a whole control group or terminal, so that the recorder, which has all blocked, got them as well.
SENT = frozenset((signal.SIGABRT, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))


class Death:
    """See the module.

    Args:
        setup: the plan of the run.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._heard: dict[str, dict[str, Any]] = {}
        self._oom_before = evidence.oom_kills()
        self._began_ns = time.monotonic_ns()

    def hear(self, info: signal.struct_siginfo) -> None:
        """Keep who sent a signal to all of us: the command may die of it before the keeper, who got it as well, can say so."""
        if info.si_pid not in (os.getpid(), self._setup.keeper):
            self._heard[evidence.signal_name(info.si_signo)] = {
                "kind": "signal",
                "t": time.time_ns(),
                "pid": os.getpid(),
                **evidence.sender(info),
            }

    def _hear(self, status: int, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return who sent the signal that *status* tells of, where we have it and nobody has *told*."""
        name = evidence.signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else ""
        if not name or any(note.get("signal") == name for note in told):
            return []
        number = os.WTERMSIG(status)
        ask = number in SENT and os.getpid() != self._setup.keeper  # whose own signals want to be answered
        info = signal.sigtimedwait({number}, 0) if ask else None
        if info is not None:
            self.hear(info)
        return [self._heard[name]] if name in self._heard else []

    def describe(self, status: int, child: int, pumps: Sequence[Pump], more: dict[str, Any]) -> dict[str, Any]:
        """Return the data of `run.ended`, verdict and all.

        Args:
            status: the wait status.
            child: pid of the command.
            pumps: its streams.
            more: what else the caller knows; stands above what is found here.
        """
        data = evidence.describe(status)
        try:
            data.update(self._notes(child))
            heard = self._hear(status, data.get("signals", ()))
            if heard:
                data["signals"] = [*data.get("signals", ()), *heard]
            data.update(more)
            data["tail"] = tail(pumps)
            data["broken"] = [pump.name for pump in pumps if pump.slot.state == BROKEN]
            if data.get("term_signal") or data.get("oom_kills") or data["exit_code"] == 137 or "Killed" in data["tail"]:
                said = evidence.kernel_lines(child, self._began_ns)
                data["kernel_read"] = said is not None
                data["kernel"], data["kernel_oom"] = said or ([], [])
            if data["core"]:
                data["core_at"] = evidence.core_at(child, os.getcwd(), os.path.basename(self._setup.spec.command[0]))
            found = judge(dict(data, command=self._setup.spec.command))
            data.update({name: found[name] for name in ("verdict", "confidence", "because", "ruled_out")})
            data["tail"] = "\n".join(data["tail"].splitlines()[-MAX_TAIL_LINES:])[-KEPT_BYTES:]
        except Exception:  # a strange /proc must not take the end of the run with it
            data.update(more, incomplete=True)
        return data

    def counters(self, child: int) -> dict[str, Any]:
        """Return what the kernel counts, and /proc says of the zombie *child*, before it is reaped."""
        try:
            return self._counters(child)
        except Exception:  # said in the record of the end
            return {"incomplete": True}

    def _counters(self, child: int) -> dict[str, Any]:
        found: dict[str, Any] = {"boot": identity.boot_id(), "limits": evidence.limits(child)}
        cgroup = evidence.memory_cgroup(child)
        if cgroup:
            found["cgroup"] = cgroup
        elsewhere = evidence.cgroup_of(child)
        own = evidence.cgroup_of(os.getpid())
        if elsewhere and own and elsewhere != own:  # it was moved; who counts there began at nothing, most likely
            found["oom_kills"] = cgroup.get("oom_kill") if cgroup else None
        else:
            after = evidence.oom_kills()
            if after is not None and self._oom_before is not None:
                found["oom_kills"] = after - self._oom_before
        return found

    def _notes(self, child: int) -> dict[str, Any]:
        if self._setup.evidence < 0:
            return {}
        found = notes.read(self._setup.evidence)
        kinds: dict[str, list[dict[str, Any]]] = {}
        for note in found["notes"]:
            kinds.setdefault("fault" if note["kind"] in notes.FAULTS else note["kind"], []).append(note)
        clean = [note for note in kinds.get("clean", []) if note.get("pid") == child]
        data: dict[str, Any] = {"clean": bool(clean)}
        if clean and clean[-1].get("cost"):
            data["cost"] = clean[-1]["cost"]
        for kind, name in (("fault", "faults"), ("stop", "stops"), ("stall", "stalls"), ("signal", "signals")):
            if kinds.get(kind):
                data[name] = kinds[kind][: notes.MAX_KEPT]
        if found["dump"]:
            data["dump"] = found["dump"]
        return data


def tail(pumps: Sequence[Pump]) -> str:
    """Return the last lines of output, standard error's where there are any, without secrets and console copies."""
    for pump in sorted(pumps, key=lambda pump: pump.name):  # stderr before stdout
        try:
            size = pump.capture.size()
            data = os.pread(pump.capture.fd, TAIL_BYTES, max(0, size - TAIL_BYTES))
        except OSError:
            continue
        copies, _ = find_copies(data, True)  # what was recorded as a log is no last word of its own
        for begin, _, end, _ in reversed(copies):
            data = data[:begin] + data[end:]
        lines = data.decode("utf-8", "replace").splitlines()
        if size > TAIL_BYTES:
            del lines[:1]
        kept = [line for line in lines if line.strip()]
        if kept:
            return redact.text("\n".join(kept))
    return ""
