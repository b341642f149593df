"""`flightlog journal cat`: read segments as they lie in the spool, without agent or database.

Owns: finding the segments that were asked for and printing them. Data goes to standard output, damage to standard error; exit 1 when
corrupt bytes were met. Leaves walking frames to `journal.reader`.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from .. import identity, records
from ..errors import NewerFormat, NotFound, SegmentError
from ..journal import reader
from ..journal.format import SEGMENT_SUFFIX, must_know, parse_name, salt_of
from . import output


@click.group(short_help="Look into the journal, without any database.")
def journal() -> None:
    """Look into the journal, as it lies in the spool, without any database.

    \b
    Example:
      flightlog journal cat
    """


@journal.command(short_help="Print the records of segments.")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["short", "json", "jsonl"]),
    default="short",
    show_default=True,
    help="How to print them; json and jsonl: as they were written.",
)
def cat(paths: tuple[str, ...], form: str) -> None:
    """Print the records of segments, or of all segments in a directory (default: this user's spool).

    Exit 1 when corrupt bytes were met, or a segment of a format that is newer than this program. A torn end, which its writer died in, is told and is no error.

    \b
    Examples:
      flightlog journal cat
      flightlog journal cat -o jsonl /var/lib/flightlog/spool/0
    """
    corrupt, before = False, "\n"
    if form == "json":
        sys.stdout.write('{"v":1,"records":[')
    for path, named in _segments(paths or _own_spool()):
        for record in _records(path, named):
            if record is None:
                corrupt = True
            elif form == "json":
                sys.stdout.write(before + _text(record, form))
                before = ",\n"
            else:
                _print(_text(record, form))
    if form == "json":
        sys.stdout.write("\n]}\n")
    if corrupt:
        sys.exit(1)


def _own_spool() -> tuple[str, ...]:
    """Return this user's spool; say so when there is none yet."""
    own = identity.spool_dir()
    if os.path.isdir(own):
        return (own,)
    output.note(f"nothing is recorded in {output.one_line(own)} yet. Try: flightlog run -- COMMAND")
    return ()


def _segments(paths: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Yield the segments that *paths* name, in the order of their names, and whether one was named itself."""
    for path in paths:
        if os.path.isdir(path):
            try:
                names = sorted(os.listdir(path))
            except OSError as problem:
                raise _unreadable(path, problem) from problem
            for name in names:
                parsed = parse_name(name)
                if parsed is not None and parsed[2] == SEGMENT_SUFFIX:
                    yield os.path.join(path, name), False
        elif not os.path.lexists(path):
            raise NotFound(f"{path}: there is no such file or directory", "give a .seg file or a spool directory")
        elif parse_name(os.path.basename(path)) is None:
            raise NotFound(f"{path} is not a segment or a directory of them", "give a .seg file or a spool directory")
        else:
            yield path, True


def _unreadable(path: str, problem: Exception) -> NotFound:
    reason = problem.strerror if isinstance(problem, OSError) else problem
    return NotFound(f"{path} cannot be read: {reason}", "check the path and its rights")


def _records(path: str, named: bool) -> Iterator[dict[str, Any] | None]:
    """Yield the records of one segment; None for corrupt bytes and a newer format, which are told on standard error; so is a torn end."""
    writer = os.path.basename(path)[:32]
    damage: tuple[int, int] | None = None
    try:
        for offset, end, n, payload in reader.read_segment(path, salt_of(writer)):
            if damage is not None:
                output.note(f"{output.one_line(path)}: bytes {damage[0]} to {damage[1]} are corrupt")
                yield None
                damage = None
            if payload is None:
                damage = (offset, end)
                continue
            record = _decode(payload)
            if record.get("k") == "head":
                must_know(record.get("v"), f"segment {record.get('segno')}")
            yield dict(record, writer=writer, n=n)
    except BrokenPipeError:
        raise
    except FileNotFoundError as problem:  # shipped and removed since we looked into the directory
        if named:
            raise _unreadable(path, problem) from problem
    except NewerFormat as problem:
        output.note(f"{output.one_line(path)}: {problem.message}; {problem.hint}")
        yield None
        return
    except (OSError, SegmentError) as problem:
        raise _unreadable(path, problem) from problem
    if damage is not None:
        output.note(f"{output.one_line(path)}: ends with {damage[1] - damage[0]} bytes that are no whole record (torn)")


def _text(record: dict[str, Any], form: str) -> str:
    """Return one record in a form."""
    try:
        return _line(record) if form == "short" else output.json_text(record)
    except RecursionError:
        return _text(
            {"k": "unreadable", "payload": "nested too deep", "writer": record["writer"], "n": record["n"]}, form
        )


def _line(record: dict[str, Any]) -> str:
    """Return one record as a line for people: UTC time, level, where, text; nothing in it can steer a terminal.

    A record may have been written by anybody: what is missing or of another kind is shown as it is.
    """
    kind, data = record.get("k"), record.get("x")
    if kind == "log":
        level = record.get("lv")
        word = records.level_name(level) if isinstance(level, int) else str(level)
        text = f"{word} {record.get('lg', '')} {record.get('m', '')}"
        text += "".join(f" {key}={value}" for key, value in data.items()) if isinstance(data, dict) else ""
    elif kind == "event":
        text = f"-- {record.get('ev', '')} {record.get('s', '')} {json.dumps(data or {}, ensure_ascii=False)}"
    elif kind == "drops":
        text = f"-- drops {json.dumps(record.get('dropped'), ensure_ascii=False)}"
    else:
        text = f"-- {kind} writer {record['writer']} segment {record.get('segno', '')}"
    return output.one_line(f"{_time(record.get('t'))} {text}")


def _print(text: str) -> None:
    """Print *text*; lone surrogates, which no encoding has, as their escapes. Raises BrokenPipeError: a spool may be long."""
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def _time(ns: object) -> str:
    """Return nanoseconds since the epoch as UTC text; as they are when no calendar has them."""
    try:
        at = datetime.datetime.fromtimestamp(int(ns) / 1e9, datetime.timezone.utc)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError, OSError):
        return str(ns)
    return str(at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _number(digits: str) -> float | str:
    """Return a number; one that is too large for JSON's readers as it was written."""
    number = float(digits)
    return number if math.isfinite(number) else digits


def _decode(payload: bytes) -> dict[str, Any]:
    """Return a payload as a record; one with a right checksum that is no JSON object is shown as kind `unreadable`."""
    try:
        record = json.loads(payload, parse_float=_number, parse_constant=str)
    except (ValueError, RecursionError):
        record = None
    return record if isinstance(record, dict) else {"k": "unreadable", "payload": payload.decode("utf-8", "replace")}
