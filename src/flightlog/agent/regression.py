"""A store that has lost its memory: restored from a backup, failed over to a replica that lagged, made anew, or crashed behind an early answer.

Its positions went back together with its rows, so whatever still lies in the spool is shipped again by itself. What does not is a gap: it is
declared per writer, in the transaction that moves the writer's position behind it, so that an audit shows it as missing.
Invariants: declared once, whoever dies when; a gap is never smaller than what is known to be gone. Owns: recognising, and declaring gaps.
Leaves what was acknowledged to `hint`, telling people to `notice`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import SegmentError
from ..journal import reader
from ..journal.format import SEGMENT_SUFFIX, salt_of, segment_name
from ..system import os
from .hint import Hint, Known
from .sink import Position, Sink
from .spool import CAPTURE, Files
from .step import Step

HEADER_VARIES = 80  # bytes at most, between two of a writer; with its first record a segment is longer
CHUNK = 500  # writers asked about or moved at once
NO_RUN = "0" * 26


class Regression(NamedTuple):
    """What a store has lost.

    Attributes:
        renewed: whether it is another store under the same name.
        writers: how many were further than it knows, as far as is remembered.
        gone: how many of them have nothing, or not the beginning, in the spool any more.
        records: at least so many records are lost.
        steps: what has to be declared: (writer's step, what is known of it).
    """

    renewed: bool
    writers: int
    gone: int
    records: int
    steps: list[tuple[Step, Known]]


def recognise(sink: Sink, hint: Hint, found: dict[str, Files]) -> Regression | None:
    """Compare what the store says with what it had acknowledged; None when it has lost nothing. Changes nothing. Raises SinkError."""
    if sink.place != hint.place:
        return None  # another place: nothing was promised there
    renewed = sink.store_id != hint.store
    newest = {known.writer: known for known in hint.newest()}
    if not renewed and not _behind(sink, list(newest.values())):
        return None
    removed = hint.removed()
    newest = {writer: known.with_gap_of(removed.get(writer)) for writer, known in newest.items()}
    behind = _behind(sink, list({**removed, **newest}.values()))
    if not behind:
        return None  # it has everything: what is remembered here is older than the last time this was looked at
    steps = []
    for known, position in behind:
        step = _declared(known, position, found.get(known.writer))
        if step is not None:
            steps.append((step, known))
    return Regression(renewed, len(behind), len(steps), sum(step.gap for step, _ in steps), steps)


def declare(sink: Sink, regression: Regression, now_ns: int) -> None:
    """Move the writers that lost records behind their gaps. Raises SinkError; some may be moved then, and are not behind any more."""
    opened = datetime.datetime.fromtimestamp(now_ns / 1e9, datetime.timezone.utc).isoformat()
    nothing: dict[str, Any] = {}
    for first in range(0, len(regression.steps), CHUNK):
        batch = sink.begin()
        try:
            batch.advance(
                [
                    step.advance(known.kind, known.run or NO_RUN, nothing, opened)
                    for step, known in regression.steps[first : first + CHUNK]
                ],
                [],
            )
            batch.commit()
        except BaseException:
            batch.abort()
            raise


def _behind(sink: Sink, known: Sequence[Known]) -> list[tuple[Known, Position]]:
    """Return those of *known* that the store knows less of, with what it does know."""
    behind = []
    for first in range(0, len(known), CHUNK):
        chunk = known[first : first + CHUNK]
        stored = sink.positions([item.writer for item in chunk])
        for item in chunk:
            position = Position(*stored[item.writer]) if item.writer in stored else Position()
            if position[:2] < item.position[:2] or (item.position.closed and not position.closed):
                behind.append((item, position))
    return behind


def _declared(known: Known, position: Position, files: Files | None) -> Step | None:
    """Return the step over what is gone of one writer; None when the spool still has everything from *position* on."""
    sizes = files.sizes if files is not None else {}
    if position.segno in sizes:
        return None
    step = Step(known.writer, position)
    retained = min((number for number in sizes if number > position.segno), default=None)
    if files is None or retained is None:
        step.segno, step.offset = max(known.position[:2], position[:2])
        step.n, step.closed = max(known.position.n, position.n), True
        step.gap = known.missing_behind(position)
        return step
    step.segno, step.offset = retained, 0
    if known.kind == CAPTURE:
        step.gap = 1
    else:
        numbers, stood = _beginning(files, retained, position)
        step.gap = numbers[0] - position.n - 1 if numbers else 1
        if step.gap <= 0 and stood:
            # A number is taken before the record is written: the first one here may be older than those that are gone.
            step.gap = max(1, numbers[1] - numbers[0] - 1 if len(numbers) > 1 else 1)
        if step.gap <= 0:
            return None  # a birth that failed: there was nothing in between
        if numbers:
            step.n = numbers[0] - 1
    return step


def _beginning(files: Files, number: int, position: Position) -> tuple[list[int], bool]:
    """Return the numbers of the first records in a segment, and whether records stood before it, behind *position*, by what its header says."""
    try:
        fd = files.open(segment_name(files.writer, number, SEGMENT_SUFFIX))
    except (OSError, SegmentError):
        return [], False
    try:
        frames = reader.read_chunk(fd, salt_of(files.writer), 0, 8192).frames
    except OSError:
        return [], False
    finally:
        os.close(fd)
    if not frames:
        return [], False
    try:
        before = json.loads(frames[0][2]).get("prev")
        segno, size = (int(item) for item in before)
    except (ValueError, TypeError, AttributeError):
        segno, size = -1, 0
    behind = position.offset if segno == position.segno and position.offset else len(frames[0][2]) + HEADER_VARIES
    return [n for _, n, _ in frames[1:]], segno >= position.segno and size > behind
