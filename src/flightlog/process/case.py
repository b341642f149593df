"""Evidence of one death, made safe to look at: what a field that is missing or of a wrong type says is nothing.

Owns: reading the data of `run.ended` (docs/reference/evidence.md), which fault came first, and what can be ruled out. Leaves causes to the rules.
Pure; standard library only.
"""

from __future__ import annotations

import os

from .. import later
from .evidence import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

PROVEN, LIKELY, UNKNOWN = "proven", "likely", "unknown"
_MOST = 1 << 62  # beyond that it is no number that anything here can be
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "busybox"))
_PYTHON = later.pattern(r"(?:python|pypy)[\d.]*$")
# The last line of a traceback: a dotted name, then a colon or the end.
_LAST_OF_TRACEBACK = later.pattern(r"^(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*)(?::.*|)$")


class Finding:
    """What a rule says."""

    __slots__ = ("because", "confidence", "verdict")

    def __init__(self, verdict: str, confidence: str, because: Sequence[str]) -> None:
        self.verdict, self.confidence, self.because = verdict, confidence, list(because)


class Case:
    """See the module.

    Attributes:
        signal: name of the signal it died of, or empty.
        code: its exit code; None when it died of a signal, or nobody knows.
        faults: faults inside the program, in order of time.
        root: the fault that came first of those that can have ended it; None. Sure when it is one of the command's own process.
        stops, stalls, signals: notes of these kinds, in order of time.
        stop: the first request to end it.
        tail: its last output, standard error's where there is any.
    """

    def __init__(self, evidence: dict[str, Any]) -> None:
        self._all = evidence if isinstance(evidence, dict) else {}
        self.signal = self.text("term_signal")
        code = self._all.get("exit_code")
        self.code = code if type(code) is int and not self.signal else None
        self.faults = self._notes("faults")
        self.stops, self.stalls, self.signals = self._notes("stops"), self._notes("stalls"), self._notes("signals")
        self.stop = self.stops[0] if self.stops else None
        self.tail = self.text("tail")
        self.root = self._root()

    def _root(self) -> dict[str, Any] | None:
        """Return what may have ended it: an exception of its own main thread, or the first of its workers' that came before that."""
        fatal = [fault for fault in self.faults if fault["kind"] in ("uncaught", "worker")]
        own = [fault for fault in fatal if fault["kind"] == "uncaught" and self.is_own(fault)]
        if own:
            return next(fault for fault in fatal if fault["t"] <= own[0]["t"])
        return fatal[0] if fatal else None

    def is_own(self, fault: dict[str, Any]) -> bool:
        """Tell whether a fault is of the command's own process, as far as that is known."""
        pid, by = self._all.get("pid"), fault.get("pid")
        return type(pid) is not int or type(by) is not int or pid == by

    def _notes(self, name: str) -> list[dict[str, Any]]:
        found = self._all.get(name)
        notes = [note for note in found if isinstance(note, dict)] if isinstance(found, list) else []
        whole = [note for note in notes if type(note.get("t")) is int and isinstance(note.get("kind"), str)]
        return sorted(whole, key=lambda note: int(note["t"]))

    # -- fields -----------------------------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """Return a text, empty when there is none."""
        value = self._all.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str, inside: str = "") -> int | None:
        """Return a whole number, or one of the mapping *inside*; None when there is none."""
        found = self._all.get(inside) if inside else self._all
        value = found.get(name) if isinstance(found, dict) else None
        return value if type(value) is int and -_MOST < value < _MOST else None

    def listed(self, name: str) -> list[str]:
        """Return the texts of a list."""
        found = self._all.get(name)
        return [value for value in found if isinstance(value, str)] if isinstance(found, list) else []

    def flag(self, name: str) -> bool:
        """Tell whether a field is true."""
        return self._all.get(name) is True

    @staticmethod
    def signal_name(number: int) -> str:
        """Return a signal's name."""
        return signal_name(number)

    @staticmethod
    def error_text(errno: int) -> str:
        """Return errno in words."""
        return os.strerror(errno) if 0 < errno < 4096 else "error %d" % errno

    # -- what follows from them ---------------------------------------------------------------------------------------

    @property
    def program(self) -> str:
        """The command's program without its folder."""
        command = self.listed("command")
        return os.path.basename(command[0]) if command else ""

    @property
    def is_shell(self) -> bool:
        """Whether a shell ran it, which says 128 + n when signal n killed what it waited for."""
        return self.program in _SHELLS

    @property
    def is_python(self) -> bool:
        """Whether Python ran it."""
        return _PYTHON.match(self.program) is not None

    @property
    def oom_kills(self) -> int | None:
        """How many processes the memory cgroup lost to the OOM killer meanwhile; None: nobody counted."""
        return self.number("oom_kills")

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time it has used."""
        found = self._all.get("rusage")
        if not isinstance(found, dict):
            return None
        values = [found.get(name) for name in ("user_s", "system_s")]
        good = all(type(value) in (int, float) and -_MOST < value < _MOST for value in values)  # type: ignore[operator]
        return sum(values) if good else None  # type: ignore[arg-type]

    def usual(self, name: str) -> tuple[float, float, float, float]:
        """Return what is usual of a figure, and what it was this time: (least, middle, most, now); zeros when that is not known."""
        history = self._all.get("history")
        parts = history if isinstance(history, dict) else {}
        usual, this = parts.get("usual"), parts.get("this")
        known = usual.get(name) if isinstance(usual, dict) else None
        if not isinstance(known, dict) or not isinstance(this, dict):
            return 0.0, 0.0, 0.0, 0.0
        found = [known.get(key) for key in ("least", "middle", "most")] + [this.get(name)]
        if not all(type(value) in (int, float) and -_MOST < value < _MOST for value in found):  # type: ignore[operator]
            return 0.0, 0.0, 0.0, 0.0
        least, middle, most, now = (float(value) for value in found)  # type: ignore[arg-type]
        return least, middle, most, now

    def memory_trend(self) -> str:
        """Return how the memory of its processes went in its last minute, of the samples, in words; empty when nobody looked."""
        found = self._all.get("samples")
        points = []
        for sample in found if isinstance(found, list) else []:
            if isinstance(sample, dict) and type(sample.get("t")) is int and type(sample.get("rss_kb")) is int:
                points.append((sample["t"], sample["rss_kb"]))
        if not points:
            return ""
        (first, before), (last, now) = points[0], points[-1]
        text = "memory of its processes: %d MiB when last looked at" % (now >> 10)
        if last - first >= 5_000_000_000:
            text += ", %+d MiB a minute before" % ((now - before) / 1024 / ((last - first) / 60e9))
        return text

    def kernel(self, word: str) -> str:
        """Return the kernel's line about the command's own process that has *word* in it, or an empty text."""
        return next((line for line in self.listed("kernel") if word in line), "")

    def says(self, *words: str) -> str:
        """Return the last line of the output's end that contains one of *words*, or an empty text."""
        for line in reversed(self.tail.splitlines()):
            if any(word in line for word in words):
                return line.strip()[:200]
        return ""

    def traceback_end(self) -> str:
        """Return the exception's line when the output ends with a Python traceback, else an empty text."""
        at = self.tail.rfind("Traceback (most recent call last):")
        if at < 0:
            return ""
        for line in self.tail[at:].splitlines()[1:]:
            if line[:1] not in ("", " ", "\t") and _LAST_OF_TRACEBACK.match(line):
                return line.strip()[:200]
        return ""

    def remarks(self) -> list[str]:
        """Return what else a reader should know, whatever the cause."""
        said = []
        if self.signal:
            said.append("what it had not yet written out is gone with it: its output may be incomplete")
        lost = self.number("lost")
        if lost:
            said.append("%d bytes of its output were not kept" % lost)
        if self.number("oom_kills") and not self.signal:
            said.append("the OOM killer struck %d times in its memory cgroup" % (self.number("oom_kills") or 0))
        return said

    def ruled_out(self, verdict: str) -> list[str]:
        """Return the causes that the evidence excludes, where somebody would think of them."""
        said = []
        if self.signal and verdict not in ("stopped-by-us", "deadline", "hang-killed") and not self.stops:
            said.append("flightlog did not stop it: nobody asked")
        if self.signal == "SIGKILL" or self.code == 137:
            if self.oom_kills == 0:
                said.append("not out of memory in its cgroup: the kernel counted no OOM kill there")
            if self._all.get("kernel_read") is True and not self.kernel("Killed process"):
                said.append("not out of memory on the host: the kernel's log names no such kill")
            limit, used = self.number("cpu", "limits"), self.cpu_seconds
            if used is not None and verdict != "cpu-limit":
                if limit is None:
                    said.append("not a CPU limit: it has none")
                elif used < limit:
                    said.append("not its CPU limit: it used %.1f s of %d" % (used, limit))
        return said


def describe_fault(fault: dict[str, Any]) -> str:
    """Return a fault in one sentence."""
    who = {"uncaught": "", "thread": "in a thread: ", "asyncio": "in an asyncio task: ", "worker": "in a worker: "}
    text = "%s: %s" % (fault.get("type") or "an exception", fault.get("message") or "")
    where = " at %s" % fault["where"] if isinstance(fault.get("where"), str) and fault["where"] else ""
    return who.get(fault["kind"], "%s: " % fault["kind"]) + text.rstrip(": ") + where
