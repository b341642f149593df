"""`flightlog journal cat`: read segments as they lie in the spool, without agent or database.

Owns: finding the segments that were asked for and printing them. Data goes to standard output, damage to standard error; exit 1 when
corrupt bytes were met. Leaves walking frames to `journal.reader`.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from .. import identity, records
from ..errors import NotFound, SegmentError
from ..journal import reader
from ..journal.format import SEGMENT_SUFFIX, parse_name, salt_of

_UNSAFE = {c: f"\\x{c:02x}" for c in [*range(9), *range(10, 32), *range(127, 160)]}
_UNSAFE.update({c: f"\\u{c:04x}" for c in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))})


@click.group()
def journal() -> None:
    """Look into the journal.

    \b
    Example:
      flightlog journal cat
    """


@journal.command()
@click.argument("paths", nargs=-1)
@click.option("-o", "--output", type=click.Choice(["short", "json", "jsonl"]), default="short", help="How to print it.")
def cat(paths: tuple[str, ...], output: str) -> None:
    """Print the records of segments, or of all segments in a directory (default: this user's spool).

    \b
    Examples:
      flightlog journal cat
      flightlog journal cat -o jsonl /var/lib/flightlog/spool/0
    """
    corrupt = False
    found: list[dict[str, Any]] = []
    for path in _segments(paths or (identity.spool_dir(),)):
        for record in _records(path):
            if record is None:
                corrupt = True
            elif output == "json":
                found.append(record)
            else:
                _print(json.dumps(record, ensure_ascii=False) if output == "jsonl" else _line(record))
    if output == "json":
        _print(json.dumps({"v": 1, "records": found}, ensure_ascii=False, indent=1))
    if corrupt:
        sys.exit(1)


def _segments(paths: tuple[str, ...]) -> Iterator[str]:
    """Yield the segments that *paths* name, in the order of their names."""
    for path in paths:
        if os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                parsed = parse_name(name)
                if parsed is not None and parsed[2] == SEGMENT_SUFFIX:
                    yield os.path.join(path, name)
        elif parse_name(os.path.basename(path)) is None:
            raise NotFound(f"{path} is not a segment or a directory of them", "give a .seg file or a spool directory")
        else:
            yield path


def _records(path: str) -> Iterator[dict[str, Any] | None]:
    """Yield the records of one segment; None for corrupt bytes, which are told on standard error; so is a torn end."""
    writer = os.path.basename(path)[:32]
    damage: tuple[int, int] | None = None
    try:
        for offset, end, n, payload in reader.read_segment(path, salt_of(writer)):
            if damage is not None:
                click.echo(f"{path}: bytes {damage[0]} to {damage[1]} are corrupt", err=True)
                yield None
                damage = None
            if payload is None:
                damage = (offset, end)
                continue
            yield dict(_decode(payload), writer=writer, n=n)
    except (OSError, SegmentError) as problem:
        raise NotFound(f"{path} cannot be read: {problem}", "check the path and its rights") from problem
    if damage is not None:
        click.echo(f"{path}: ends with {damage[1] - damage[0]} bytes that are no whole record (torn)", err=True)


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
    return f"{_time(record.get('t'))} {text}".translate(_UNSAFE)


def _print(text: str) -> None:
    """Print *text*; lone surrogates, which no encoding has, as their escapes."""
    click.echo(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _time(ns: object) -> str:
    """Return nanoseconds since the epoch as UTC text; as they are when no calendar has them."""
    try:
        at = datetime.datetime.fromtimestamp(int(ns) / 1e9, datetime.timezone.utc)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError, OSError):
        return str(ns)
    return str(at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _decode(payload: bytes) -> dict[str, Any]:
    """Return a payload as a record; one with a right checksum that is no JSON object is shown as kind `unreadable`."""
    try:
        record = json.loads(payload)
    except (ValueError, RecursionError):
        record = None
    return record if isinstance(record, dict) else {"k": "unreadable", "payload": payload.decode("utf-8", "replace")}
