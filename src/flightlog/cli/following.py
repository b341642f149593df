"""Following logs on a screen: the tail, then what comes, through restarts of the store; and waiting for a run that the store has not heard of.

Owns: when to look, to ship and to pause, and what is said of it. Leaves which lines come to `query.live`, how they look to `logline`.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import EmbeddedError, NotFound, SinkError, SinkUnavailable
from . import output
from .choose import wake_shipping
from .logline import Printer

if TYPE_CHECKING:
    from ..query.logs import Filter, Line
    from ..query.selectors import Selected
    from ..wiring import Reading
    from .waiting import WaitingRun

POLL_SECONDS = 0.2
AWAY_SECONDS = 1.0  # between attempts to reach a store that is gone
SHIP_SECONDS = 1.0  # how often we ship while following, where no agent does


def follow(
    reading: Reading, wanted: Filter, selected: Selected | None, limit: int | None, printer: Printer, silent: bool
) -> None:
    """Print the tail, and what comes until the followed runs are over; say which run lines are of when that changes, unless *silent*."""
    from ..query.live import Follow

    wake_shipping()
    wake_at = time.monotonic() + SHIP_SECONDS
    ahead = Follow(reading.connection, wanted, selected.pipelines if selected else [])
    printer.begin(sys.stdout)
    run = _print(ahead.tail(limit), printer, wanted.runs[0] if wanted.runs and not silent else "")
    while True:
        now = time.monotonic()
        wake_shipping(ourselves=now >= wake_at)
        wake_at = now + SHIP_SECONDS if now >= wake_at else wake_at
        try:
            run = _print(ahead.more(), printer, run)
        except SinkUnavailable as problem:
            _wait_for_store(reading, problem)
            ahead.use(reading.connection)
            continue
        if ahead.over:
            break
        if not ahead.more_waits:
            _pause()
    printer.end()


def wait_for_shipping(reading: Reading, held: Sequence[WaitingRun]) -> None:
    """Wait until the store has heard of these runs. Ctrl-C ends it. Raises NotFound when they have left the spool for nowhere."""
    from .. import wiring
    from ..query import runs as query
    from .waiting import words

    size = output.size(sum(one.size for one in held))
    output.note(f"-- {words(held)}: {size} wait in the spool; following as soon as the store has heard of it --")
    left = {one.run: one for one in held}
    while left:
        wake_shipping()
        try:
            wiring.look_again(reading)  # first: what leaves the spool now is in the store then
            for run in query.list_runs(reading.connection, sorted(left)):
                left.pop(run.run)
        except SinkUnavailable as problem:
            _wait_for_store(reading, problem)
            continue
        gone = [one for one in left.values() if not any(map(reading.pending.get, one.writers))]
        if gone:
            raise NotFound(f"{words(gone)} has left the spool, and is not in the store", "flightlog audit")
        if left:
            _pause()


def _pause() -> None:
    """Wait a little; notice meanwhile that nobody reads any more, which a write would tell only when the next line comes."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    if watch.poll(POLL_SECONDS * 1000):
        raise BrokenPipeError


def _wait_for_store(reading: Reading, problem: SinkError) -> None:
    """Wait until the store answers again; say that it does not, and that it does. Ctrl-C ends it."""
    from .. import wiring

    output.note(f"-- {output.one_line(problem.message)}; waiting for it --")
    while True:
        _pause()
        try:
            wiring.reconnect(reading)
        except (SinkError, EmbeddedError):
            time.sleep(AWAY_SECONDS)
            continue
        output.note("-- the store answers again --")
        return


def _print(lines: Iterable[Line], printer: Printer, run: str) -> str:
    """Print *lines*; say which run they are of where that is not *run* any more, unless that is empty. Return the last one's."""
    for line in lines:
        if run and line.run != run:
            printer.flush()
            output.note(f"-- {output.brief(line.pipeline or '-')} {line.run[-6:]} --")
            run = line.run
        printer.write(line)
    printer.flush()
    return run
