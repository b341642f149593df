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
                click.echo(json.dumps(record, ensure_ascii=False) if output == "jsonl" else _line(record))
    if output == "json":
        click.echo(json.dumps({"v": 1, "records": found}, ensure_ascii=False, indent=1))
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
            yield dict(json.loads(payload), writer=writer, n=n)
    except (OSError, SegmentError) as problem:
        raise NotFound(f"{path} cannot be read: {problem}", "check the path and its rights") from problem
    if damage is not None:
        click.echo(f"{path}: ends with {damage[1] - damage[0]} bytes that are no whole record (torn)", err=True)


def _line(record: dict[str, Any]) -> str:
    """Return one record as a line for people: UTC time, level, where, text; nothing in it can steer a terminal."""
    at = datetime.datetime.fromtimestamp(record.get("t", 0) / 1e9, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ"
    )
    kind = record.get("k")
    if kind == "log":
        text = f"{records.level_name(record['lv'])} {record.get('lg', '')} {record['m']}"
        text += "".join(f" {key}={value}" for key, value in record.get("x", {}).items())
    elif kind == "event":
        text = f"-- {record['ev']} {record.get('s', '')} {json.dumps(record.get('x', {}), ensure_ascii=False)}"
    else:
        text = f"-- {kind} writer {record['writer']} segment {record.get('segno', '')}"
    return f"{at} {text}".translate(_UNSAFE)
