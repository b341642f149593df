"""How a log line looks: for people, short or full; for programs, JSON (docs/reference/cli/logs.md).

Invariants: nothing in a record can steer a terminal; a message of several lines stays readable, its further lines indented; colour never
carries meaning alone: the level is a word. Owns: these forms. Leaves which lines there are to `query`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from .. import identity
from . import output

if TYPE_CHECKING:
    from ..query.logs import Line

_COLORS = {"TRACE": "dim", "DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_NAME_WIDTH = 24  # a longer pipeline name moves its own line only


def as_json(line: Line) -> dict[str, Any]:
    """Return a line as the contract of `-o json` and `-o jsonl` says."""
    data = {
        "v": 1,
        "ts": output.iso(line.ts),
        "level": line.level,
        "levelno": line.levelno,
        "message": line.message,
        "logger": line.logger,
        "pipeline": line.pipeline,
        "run": line.run,
        "stage": line.stage,
        "node": line.node,
        "pid": line.pid,
        "thread": line.thread,
        "writer": line.writer,
        "seq": line.seq,
        "pos": line.pos,
        "source": line.source,
        "file": line.file,
        "line": line.line,
        "func": line.func,
        "fields": line.fields,
        "exception": line.exception,
    }
    if line.ts_claimed is not None:
        data["ts_claimed"] = output.iso(line.ts_claimed)
    for bit, name in ((1, "truncated"), (2, "partial"), (4, "redacted"), (8, "after_end")):
        if line.flags & bit:
            data[name] = True
    return data


class Printer:
    """Prints lines in one form.

    Args:
        form: short, full, json, jsonl or cat.
        paint: colours.
        utc: times in UTC.
        many: whether lines of several runs may come, so that each says its own.

    Attributes:
        many: as given.
        count: lines printed so far.
    """

    def __init__(self, form: str, paint: output.Paint, utc: bool, many: bool) -> None:
        self._form, self._paint, self._utc, self.many = form, paint, utc, many
        self._stream: TextIO = sys.stdout
        self._name_width = 0
        self.count = 0

    def begin(self, stream: TextIO) -> None:
        """Begin on *stream*."""
        self._stream = stream
        if self._form == "json":
            stream.write('{"v":1,"lines":[')

    def write(self, line: Line) -> None:
        """Print one line."""
        form = self._form
        if form == "json":
            text = ("\n" if self.count == 0 else ",\n") + output.json_text(as_json(line))
        elif form == "jsonl":
            text = output.json_text(as_json(line)) + "\n"
        elif form == "cat":
            text = output.safe(line.message) + "\n"
        else:
            text = self._for_people(line)
        self._stream.write(text)
        self.count += 1

    def flush(self) -> None:
        """Let it be seen."""
        self._stream.flush()

    def end(self) -> None:
        """End the form."""
        if self._form == "json":
            self._stream.write("\n]}\n")
        self._stream.flush()

    def _for_people(self, line: Line) -> str:
        full, paint, color = self._form == "full", self._paint, _COLORS.get(line.level)
        level = output.brief(_SHORT.get(line.level, line.level)).ljust(5)
        parts = [paint(output.clock(line.ts, self._utc, date=full), "dim"), paint(level, color) if color else level]
        if self.many:
            parts.append(paint(self._run(line), "cyan"))
        if line.stage:
            parts.append(paint(output.brief(line.stage), "blue"))
        if full:
            parts.append(paint(self._where(line), "dim"))
        first, *rest = output.safe(line.message.rstrip("\n")).replace("\t", "    ").split("\n")
        text = " ".join(parts) + "  " + (paint(first, color) if color in ("red", "yellow") else first)
        if line.fields and line.source == "sdk":  # those of a captured line are in its text
            shown = " ".join(f"{output.one_line(str(key))}={_value(value)}" for key, value in line.fields.items())
            text += "  " + paint(shown, "dim")
        text += "".join(_further(part) for part in rest)
        error = line.exception
        if error and full:
            text += "".join(_further(output.one_line(part)) for part in traceback_lines(error))
        elif error:
            shown = f"{error.get('type')}: {error.get('message')}"
            if shown not in line.message:
                text += _further(paint(output.one_line(shown), color or "red"))
        return text + "\n"

    def _run(self, line: Line) -> str:
        """Return pipeline and short form, one below the other as far as names are of usual length."""
        name = output.brief(line.pipeline or "-")
        if self._name_width < len(name) <= _NAME_WIDTH:
            self._name_width = len(name)
        return f"{name.ljust(self._name_width)} {identity.short(line.run)}"

    def _where(self, line: Line) -> str:
        place = f"{line.file}:{line.line}" if line.file else ""
        process = f"{line.node}/{line.pid or '-'}" + (f"/{line.thread}" if line.thread else "")
        return output.one_line(" ".join(part for part in (process, line.source, line.logger or "", place) if part))


def _further(text: str) -> str:
    """Return *text* as a further line of a record."""
    return f"\n    {text}".rstrip(" ")


def _value(value: Any) -> str:
    """Return a field's value: a word as it is, anything else as JSON."""
    plain = isinstance(value, str) and value and not any(c in value for c in ' "=\n\t')
    return output.one_line(value if plain else json.dumps(value, ensure_ascii=False))


def traceback_lines(error: dict[str, Any]) -> list[str]:
    """Return an exception and what it came from as Python would print them. Anything may be missing: whoever wrote it may be anybody."""
    lines: list[str] = []
    for name, words in (
        ("cause", "The above exception was the direct cause of the following exception:"),
        ("context", "During handling of the above exception, another exception occurred:"),
    ):
        before = error.get(name)
        if isinstance(before, dict):
            lines += [*traceback_lines(before), "", words, ""]
            break
    frames = error.get("frames")
    if frames and isinstance(frames, list):
        lines.append("Traceback (most recent call last):")
        for frame in frames:
            if isinstance(frame, dict):
                lines.append(f'  File "{frame.get("file")}", line {frame.get("line")}, in {frame.get("func")}')
                lines += [f"    {frame['code']}"] if frame.get("code") else []
    module = error.get("module")
    kind = str(error.get("type"))
    if module not in (None, "builtins", "__main__"):
        kind = f"{module}.{kind}"
    message = error.get("message")
    lines += (f"{kind}: {message}" if message else kind).split("\n")
    group = error.get("group")
    members = group if isinstance(group, list) else []
    for number, member in enumerate(members, 1):
        if isinstance(member, dict):
            lines += [
                f"  -- {number} of {len(members)} --",
                *(f"  {line}".rstrip() for line in traceback_lines(member)),
            ]
    return lines
