"""A command run with flightlog and without, in turn: how long each took, and what CPU it used.

Without: the command itself, with the kill switch in its environment, so that what it imports of flightlog is off as well. With: `flightlog run`, as a user
types it; its own start is part of it. Each pair begins with the other one than the pair before, so that what a machine does over time, and what the
first of two finds in no cache, falls on both alike. The first pair is thrown away.
Invariants: output goes nowhere, standard input is empty; the command is run one at a time, and its exit status has to be the same each time.
Owns: running and measuring the command and its recorders. Leaves looking at agent and server to `background`, arithmetic to `ratio`, words to `cli.overhead`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import FlightlogError, NotFound
from . import background
from .background import NOTHING, Used

_OFF = "monitoring:\n  enabled: false\n"


@dataclass(frozen=True)
class Once:
    """One execution.

    Attributes:
        wall_s: from its start until it was waited for.
        own_s: CPU seconds of the command and the children it has waited for.
        recorder_s: CPU seconds of keeper and shim; 0 without.
        status: wait status.
        used: what agent and embedded server have used until all that it recorded was shipped; nothing without.
    """

    wall_s: float
    own_s: float
    recorder_s: float
    status: int
    used: Used = NOTHING


@dataclass
class Pairs:
    """What was measured.

    Attributes:
        without, with_us: of each pair, in order.
        seconds: that all of it took.
    """

    without: list[Once] = field(default_factory=list)
    with_us: list[Once] = field(default_factory=list)
    seconds: float = 0.0

    def wall(self) -> list[tuple[float, float]]:
        """Return (without, with) of the wall time of each pair."""
        return [(a.wall_s, b.wall_s) for a, b in zip(self.without, self.with_us, strict=True)]

    def own(self) -> list[tuple[float, float]]:
        """Return (without, with) of the command's own CPU time of each pair; those where the kernel's clock saw nothing are left out."""
        found = [(a.own_s, b.own_s) for a, b in zip(self.without, self.with_us, strict=True)]
        return [(a, b) for a, b in found if a > 0 and b > 0]

    def used(self) -> Used:
        """Return what agent and embedded server have used for all runs with flightlog; None where there was none in one of them."""
        agents, servers = [one.used.agent_s for one in self.with_us], [one.used.server_s for one in self.with_us]
        return Used(_sum(agents), _sum(servers))


class Bench:
    """See the module.

    Args:
        command: what to run.
        pipeline: under which name with flightlog.
        folder: a scratch directory.
        home: whose agent and server are looked at.
        shipped: waits until what was recorded is in the store: that work belongs to the run before, and is not to disturb the one after.
    """

    def __init__(
        self,
        command: Sequence[str],
        pipeline: str,
        folder: str,
        home: str = "",
        shipped: Callable[[], None] = lambda: None,
    ) -> None:
        self._command, self._pipeline, self._folder = list(command), pipeline, folder
        self._home, self._shipped = home, shipped
        self._environment = {
            name: value for name, value in os.environ.items() if name not in ("FLIGHTLOG_RUN", "FLIGHTLOG_KEEPER")
        }
        self._off = os.path.join(folder, "off.yml")
        with open(self._off, "w", encoding="ascii") as file:
            file.write(_OFF)
        self._status: int | None = None

    def measure(self, rounds: int, seconds: float, told: Callable[[int, Pairs], None]) -> Pairs:
        """Run up to *rounds* pairs besides the one thrown away, none begun after *seconds*; *told* hears after each pair.

        Raises NotFound when there is no such program, FlightlogError when the exit status is not the same each time. Blocks as long as the command runs.
        """
        found, began = Pairs(), time.monotonic()
        for number in range(rounds + 1):
            if number > 1 and time.monotonic() - began > seconds:
                break
            if number % 2:
                without, with_us = self.without(), self.with_us()
            else:
                with_us, without = self.with_us(), self.without()
            if number:
                found.without.append(without)
                found.with_us.append(with_us)
            found.seconds = time.monotonic() - began
            told(number, found)
        return found

    def without(self) -> Once:
        """Run it without flightlog."""
        environment = {**self._environment, "FLIGHTLOG_CONFIG": self._off}
        wall, cpu, status = self._run(self._command, environment)
        return self._same(Once(wall, cpu, 0.0, status))

    def with_us(self) -> Once:
        """Run it under flightlog."""
        record = os.path.join(self._folder, "record.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(record)
        command = [
            sys.executable,
            "-m",
            "flightlog",
            "run",
            "--record",
            record,
            "-n",
            self._pipeline,
            "--",
            *self._command,
        ]
        before = background.look(self._home) if self._home else NOTHING
        wall, _, status = self._run(command, self._environment)
        self._shipped()
        used = background.look(self._home).since(before) if self._home else NOTHING
        try:
            with open(record, encoding="utf-8") as file:
                ended = json.load(file)
            own = float(ended["rusage"]["user_s"]) + float(ended["rusage"]["system_s"])
            recorders = float(ended["recorder_s"])
        except (OSError, ValueError, KeyError, TypeError):
            raise FlightlogError(
                "flightlog did not record the command: there is nothing to compare",
                "is monitoring.enabled false in this config? flightlog overhead measures what is recorded",
            ) from None
        return self._same(Once(wall, own, recorders, status, used))

    def _run(self, command: list[str], environment: dict[str, str]) -> tuple[float, float, int]:
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as problem:
            raise NotFound(f"{command[0]}: {problem.strerror}", "name a program that can be executed") from problem
        with _ended_with_us(process):
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        return wall, usage.ru_utime + usage.ru_stime, status

    def _same(self, once: Once) -> Once:
        if self._status is None:
            self._status = once.status
        elif once.status != self._status:
            raise FlightlogError(
                f"the command ended differently: {_words(self._status)}, then {_words(once.status)}",
                "what it does must be repeatable: the same work each time, over what the time before has left",
            )
        return once


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whoever interrupts the measuring ends the command as well."""
    try:
        yield
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit {code}" if code >= 0 else f"signal {-code}"
