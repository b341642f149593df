"""One record of a library that is not stdlib `logging`: made from what the library says of it.

Owns: the way from level, text, fields, place and exception to a frame, for `hook_structlog`, `hook_loguru` and `hook_warnings`, and the search for
the caller where a library does not name it. Any value is fit: `journal.encode` cleans, caps and masks. Leaves to its callers when a record is
made, so that it is made once, and what is swallowed (`journal.mistakes`).
"""

from __future__ import annotations

import sys
import threading
import time

from .. import records
from ..journal.encode import MAX_MESSAGE, encode
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any


def write(
    level: int,
    logger: str,
    message: object,
    fields: dict[str, Any] | None = None,
    problem: BaseException | None = None,
    trace: TracebackType | None = None,
    place: tuple[str, int, str] | None = None,
    thread: str = "",
) -> int:
    """Journal one record where we are, now; return its number, or 0 when it was not accepted. Raises `MISTAKES`.

    Args:
        level: its number.
        logger: the name it goes by.
        message: its text, cut at 64 KB.
        fields: what was said besides.
        problem: the exception that it is about, with *trace* in place of its own traceback.
        place: (file, line, function); an empty function is left out.
        thread: default: the current one.
    """
    now = time.time_ns()
    if not recorder.admit(now, level):
        return 0
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    record = {
        "k": "log",
        "t": now,
        "lv": level,
        "lg": logger,
        "m": records.safe_text(message, MAX_MESSAGE),
        "r": scope.run,
        "th": thread or threading.current_thread().name,
    }  # type: dict[str, Any]
    if place is not None:
        record.update(f=place[0], ln=place[1])
        if place[2]:
            record["fn"] = place[2]
    if scope.stage:
        record["s"] = scope.stage
    if fields:
        record["x"] = fields
    if problem is not None:
        record["e"] = records.exception(problem, trace)
    return recorder.writer.append(encode(record), level)


def caller(library: str) -> tuple[str, int, str] | None:
    """Return the place that called into *library*: the first frame that is neither the library's nor ours."""
    inner = library + "."
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name != library and not name.startswith(inner) and not name.startswith("flightlog.sdk."):
            return frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name
        frame = frame.f_back
    return None
