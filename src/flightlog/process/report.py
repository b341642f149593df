"""What keeper and shim write into the journal: that a run began, what captures it has, how it ended.

Invariants: a record that cannot be written changes nothing for the command; where files may have a few hundred bytes only
(`ulimit -f 1`) an event says what matters most. Owns: the shape of these events. Leaves durability of the last one to
`sync`, which its caller bounds.
"""

from __future__ import annotations

import os
import time

from .. import identity, records
from ..config.compiled import LOGGER as SETTINGS_LOGGER
from ..journal.drops import LOGGER as DROPS_LOGGER
from ..journal.encode import encode
from ..journal.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from .pump import Pump
    from .setup import Setup

CAPTURE_OPENED, CAPTURE_ENDED, CAPTURE_GAP = "capture.opened", "capture.ended", "capture.gap"
# What an event keeps first where a file cannot hold all of it.
ESSENTIAL = (
    "status",
    "exit_code",
    "term_signal",
    "wait_status",
    "pipeline",
    "writer",
    "stream",
    "kind",
    "lost",
    "by",
    "verdict",
    "confidence",
)
KEEPER_DIED, SHIM_DIED = "keeper.died", "shim.died"
_FINAL = frozenset((records.RUN_ENDED, KEEPER_DIED, SHIM_DIED))


class Report:
    """The writer of one process of the run.

    Args:
        setup: the plan of the run.
        by: `shim` or `keeper`.
        spare: it speaks for the whole run, and has room set aside for its last words.
    """

    def __init__(self, setup: Setup, by: str, spare: bool = True) -> None:
        self._setup = setup
        self._by = by
        head = {"run": setup.spec.run, "pipeline": setup.spec.pipeline, "role": by}
        self._writer = Writer(setup.spool, lambda: head, spare=spare)

    def event(self, name: str, data: dict[str, Any]) -> None:
        """Write one event of this run. It survives any signal; never raises."""
        payload = encode(records.event(name, self._setup.spec.run, data))
        room = self._writer.largest()
        if len(payload) > room:
            payload = self._short(name, data, room)
        self._writer.append(payload, records.CRITICAL, name in _FINAL)

    def say(
        self,
        message: str,
        data: dict[str, Any],
        logger: str = DROPS_LOGGER,
        level: int = records.WARNING,
        ns: int = 0,
    ) -> None:
        """Write a line of our own into the run's log, of now or of *ns*. Never raises."""
        record = {
            "k": "log",
            "t": ns or time.time_ns(),
            "lv": level,
            "lg": logger,
            "m": message,
            "r": self._setup.spec.run,
            "src": "flightlog",
            "x": data,
        }
        self._writer.append(encode(record), level)

    def close(self) -> None:
        """Nothing comes any more. Never raises."""
        self._writer.close()

    def _short(self, name: str, data: dict[str, Any], room: int) -> bytes:
        """Return as much of an event as fits into *room* bytes, what matters most first."""
        if "captures" in data:
            data = {**data, "lost": sum([capture["lost"] for capture in data["captures"]])}
        kept: dict[str, Any] = {}
        payload = encode(records.event(name, self._setup.spec.run, kept))
        for key in (*ESSENTIAL, *sorted(set(data) - set(ESSENTIAL)), "cut"):
            value = True if key == "cut" else data.get(key)
            if value is None:
                continue
            longer = encode(records.event(name, self._setup.spec.run, {**kept, key: value}))
            if len(longer) <= room:
                payload, kept = longer, {**kept, key: value}
        return payload

    def started(self, child: int) -> None:
        """Say that the command was started as process *child*."""
        spec = self._setup.spec
        self.event(
            records.RUN_STARTED,
            {
                "pipeline": spec.pipeline,
                "kind": "supervised",
                "named": bool(spec.named),
                "parent": spec.parent or None,
                "origin": spec.origin or None,
                "attempt": int(spec.attempt),
                "command": spec.command,
                "pid": child,
                "start": identity.process_start_time(child),
                "keeper": self._setup.keeper,
                "cwd": _cwd(),
                "uid": os.geteuid(),
                "user": _user(),
            },
        )
        for stream in self._setup.streams:
            assert stream.capture is not None
            data = {"writer": stream.capture.writer_id, "stream": stream.name, "merged": len(stream.numbers) > 1}
            self.event(CAPTURE_OPENED, data)
        if self._setup.trouble:
            self.say(self._setup.trouble, {}, SETTINGS_LOGGER)

    def ended(self, data: dict[str, Any], pumps: Sequence[Pump]) -> None:
        """Say how the command ended: *data* is what `death` has found out."""
        data["by"] = self._by
        data["error"] = None
        data["captures"] = [capture_state(pump) for pump in pumps]
        self.event(records.RUN_ENDED, data)
        if self._setup.spec.record:
            self._keep(data)
        self._setup.drop_evidence()

    def _keep(self, data: dict[str, Any]) -> None:
        """Write the file that `--record` names: whole or not at all, and on the disk. Never raises."""
        spec = self._setup.spec
        fresh = "%s.%d" % (spec.record, os.getpid())
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, encode(dict(data, run=spec.run, pipeline=spec.pipeline, t=time.time_ns())))
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(fresh, spec.record)
        except OSError:
            pass

    def sync(self, pumps: Sequence[Pump]) -> None:
        """Flush captures and journal to the disk. Blocks as long as the disk does; never raises."""
        for pump in pumps:
            try:
                os.fdatasync(pump.capture.fd)
            except OSError:
                pass
        self._writer.sync()


def capture_state(pump: Pump) -> dict[str, Any]:
    """Return where a capture stands: its bytes, those it could not take, those the console refused."""
    return {
        "writer": pump.capture.writer_id,
        "stream": pump.name,
        "bytes": pump.before + pump.end,
        "lost": pump.lost,
        "refused": pump.echo.refused,
        "ended": pump.ended,
    }


def duration_ns(started_ns: int) -> int:
    """Return the nanoseconds since *started_ns* (monotonic); 0 when that is not known."""
    return time.monotonic_ns() - started_ns if started_ns else 0


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError, OSError):
        return str(os.geteuid())
