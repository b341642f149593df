"""What people see: colour that is never alone, times in their zone, text that cannot steer a terminal.

Owns: these small decisions, once for all commands: --color, NO_COLOR, FORCE_COLOR, TERM=dumb; escaping by allow-list; sizes and durations.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click

# Printable is what str.isprintable says, and these: joiners that scripts and emoji need, spaces other than U+0020, private use.
_ALSO_SAFE = re.compile("[\n\t\u00a0\u1680\u2000-\u200a\u200c\u200d\u202f\u205f\u3000\ue000-\uf8ff]")
_CODES = {"red": "31", "yellow": "33", "green": "32", "blue": "34", "cyan": "36", "dim": "2", "bold": "1"}
NAME_COLUMNS, LEAST_NAME_COLUMNS = 48, 16  # of a pipeline, a stage, a node
STATES = {
    "running": (">", "blue"),
    "starting": (">", "blue"),
    "stopping": (">", "blue"),
    "succeeded": ("*", "green"),
    "failed": ("!", "red"),
    "lost": ("?", "red"),
}


def color_option(command: Any) -> Any:
    """Add --color to a command."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="When to colour; NO_COLOR is obeyed.",
    )(command)


class Paint:
    """Colours text, or not."""

    def __init__(self, wish: str = "auto", stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        if wish == "auto":
            if os.environ.get("NO_COLOR"):
                self.on = False
            elif os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
                self.on = True
            else:
                self.on = stream.isatty() and os.environ.get("TERM") != "dumb"
        else:
            self.on = wish == "always"

    def __call__(self, text: str, color: str) -> str:
        """Return *text* in *color*."""
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self.on and text else text


def say(text: str = "") -> None:
    """Print a line on standard output. A reader that has left is no error: what follows goes nowhere, and the exit code stays what it is."""
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        goes_nowhere(sys.stdout)


def note(text: str) -> None:
    """Print a line on standard error, behind what was said so far. Never raises: that nobody hears it is no reason to fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def goes_nowhere(stream: TextIO) -> None:
    """Let *stream* lose whatever is written to it from now on, and what is still buffered."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def safe(text: str) -> str:
    """Return *text* with everything that could steer a terminal, newlines and tabs excepted, as visible escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _ALSO_SAFE.match(c) else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Return *text* in one line."""
    return safe(text).replace("\n", "\\n").replace("\t", "    ")


def width() -> int:
    """Return how many columns there are; many when nobody looks."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return 10_000
    return shutil.get_terminal_size((100, 24)).columns


def columns_of(text: str) -> int:
    """Return how many columns *text* takes on a screen: two for each wide character, none for one that joins the one before."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) or c in "\u200d\ufe0f" else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def cut(text: str, columns: int) -> str:
    """Return *text* cut to *columns*, with dots where something was cut."""
    if columns_of(text) <= columns:
        return text
    shown = text[: max(0, columns - 3)]
    while columns_of(shown) > max(0, columns - 3):
        shown = shown[:-1]
    return shown + "..."


def brief(name: str) -> str:
    """Return a name in one line for people, cut where it is so long that it would push everything else out of sight. Never for programs."""
    return cut(one_line(name), max(LEAST_NAME_COLUMNS, min(NAME_COLUMNS, width() // 3)))


def duration(seconds: float) -> str:
    """Return seconds as people say it: 4.2s, 3m07s, 2h14m, 3d04h."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def size(count: int) -> str:
    """Return bytes as people say it."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def user_name(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def zone(utc: bool) -> datetime.tzinfo | None:
    """Return the zone for people's times: None means local."""
    return datetime.timezone.utc if utc else None


def zone_name(utc: bool) -> str:
    """Return what that zone is called now."""
    return datetime.datetime.now().astimezone(zone(utc)).tzname() or "local time"


def clock(moment: datetime.datetime, utc: bool = False, date: bool = False) -> str:
    """Return a time for people, with its day when it is not today's or *date* is wanted."""
    local = moment.astimezone(zone(utc))
    today = datetime.datetime.now(local.tzinfo).date()
    day = f"{local:%Y-%m-%d} " if date or local.date() != today else ""
    return f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def moment(at: datetime.datetime, utc: bool = False) -> str:
    """Return a time for a table, short: today's with seconds, this year's with its day, an older one as its date. As `ls -l` does."""
    local = at.astimezone(zone(utc))
    today = datetime.datetime.now(local.tzinfo).date()
    if local.date() == today:
        return f"{local:%H:%M:%S}"
    return f"{local:%b %d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def iso(moment: datetime.datetime | None) -> str | None:
    """Return a time as RFC 3339, UTC, microseconds."""
    if moment is None:
        return None
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def json_text(data: Any) -> str:
    """Return *data* as JSON on one line, in ASCII: its escapes are what makes it safe to look at."""
    return json.dumps(data, separators=(",", ":"))


def table(rows: list[list[str]], right: set[int], spare: Sequence[int] = ()) -> list[str]:
    """Return rows as lines of aligned columns, cut to the screen. Colour comes later.

    Args:
        rows: of equal length, the head first.
        right: indexes of columns aligned to the right.
        spare: indexes of columns that are left out when the screen is too narrow, the least important first.
    """
    columns = list(range(len(rows[0])))
    widths = [max(columns_of(row[index]) for row in rows) for index in columns]
    for index in spare:
        if sum(widths[column] + 2 for column in columns) - 2 > width():
            columns.remove(index)
    lines = []
    for row in rows:
        cells = []
        for c in columns:
            blank = " " * (widths[c] - columns_of(row[c]))
            cells.append(blank + row[c] if c in right else row[c] + blank)
        lines.append(cut("  ".join(cells).rstrip(), width()))
    return lines


@contextlib.contextmanager
def paged(lines: int, wanted: bool, at_end: bool = False) -> Iterator[TextIO]:
    """Give a stream to write to: a pager when people look, there is more than a screen, and it is *wanted*; else standard output. *at_end*:
    less begins at the last line.
    """
    command = os.environ.get("FLIGHTLOG_PAGER") or os.environ.get("PAGER") or "less"
    short = lines < shutil.get_terminal_size().lines or os.environ.get("TERM") == "dumb" or command == "cat"
    if not wanted or not sys.stdout.isatty() or short:
        yield sys.stdout
        return
    environment = dict(os.environ)
    environment.setdefault("LESS", "FRX+G" if at_end else "FRX")
    try:
        pager = subprocess.Popen(
            ["/bin/sh", "-c", command],  # as every program reads $PAGER
            stdin=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=environment,
        )
    except OSError:
        yield sys.stdout
        return
    assert pager.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # the reader has seen enough
            yield pager.stdin  # type: ignore[misc]
    finally:
        with contextlib.suppress(BrokenPipeError):
            pager.stdin.close()
        while pager.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # meant for the pager, which is in our process group
                pager.wait()
