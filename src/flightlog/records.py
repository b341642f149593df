"""Every fact a pipeline can state: the kinds of records, their JSON keys, levels, and exceptions as data.

Owns: the names inside a payload (docs/reference/journal-format.md lists them) and building the parts that are not hot.
Leaves encoding to `journal.encode`, files to `journal.writer`. Standard library only, imports nothing heavy.
A record, once built, is a dict that JSON can carry:

log    {"k": "log", "t": ns, "lv": 20, "lg": logger, "m": message, "r": run, "s": stage, "th": thread, "f": file,
        "ln": line, "fn": function, "x": fields, "e": exception, "src": source, "tr": truncated}
event  {"k": "event", "t": ns, "ev": name, "r": run, "s": stage, "x": data}
head   the first frame of a segment; see journal.format
"""

from __future__ import annotations

import time

from . import redact, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL = 5, 10, 20, 30, 40, 50
LEVEL_NAMES = {5: "TRACE", 10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
LEVEL_NUMBERS = {name: number for number, name in LEVEL_NAMES.items()}
LEVEL_NUMBERS.update(
    {"WARN": 30, "ERR": 40, "FATAL": 50, "NOTICE": 20, "SUCCESS": 25, "CRIT": 50, "EMERG": 50, "ALERT": 50}
)

RUN_STARTED, RUN_ENDED = "run.started", "run.ended"
STAGE_STARTED, STAGE_ENDED, PROGRESS = "stage.started", "stage.ended", "progress"
FIGURES = "figures"  # what a pipeline says of itself by `metric` and `rows`; `metrics` is what others see of it
STORE_REGRESSED = "store.regressed"
AUDIT_FAILED = "audit.failed"  # what the agent has found out about its own node
DROPS, WRITER_ENDED = "drops", "writer.ended"
RUN_ADOPTED, RUN_LEFT = "run.adopted", "run.left"
CHECKPOINT = "checkpoint"  # what a pipeline keeps to go on from: a value, finished items, or that an attempt has begun to keep any
# What is never shed for want of room: without these nobody could say what ran, and how it ended.
KEPT_EVENTS = frozenset((RUN_STARTED, RUN_ADOPTED, RUN_LEFT, RUN_ENDED, DROPS, WRITER_ENDED))
# Last words: when the disk is full as well, they go into room that was set aside.
FINAL_EVENTS = frozenset((RUN_LEFT, RUN_ENDED))
# As what other events are shed; what is not listed counts as INFO.
EVENT_LEVELS = {STAGE_STARTED: WARNING, STAGE_ENDED: WARNING, PROGRESS: INFO, FIGURES: WARNING, CHECKPOINT: ERROR}
_OURS = frozenset((PROGRESS, FIGURES, CHECKPOINT, DROPS, "metrics"))
_OUR_KINDS = ("run.", "stage.", "writer.", "capture.", "keeper.", "shim.", "store.", "audit.", "agent.", "checkpoint.")

MAX_EVENT = 100  # characters of a user's own event
MAX_NAME = 512  # characters of a pipeline's name that are kept: a key of an index has at most 2,700 bytes
MAX_FRAMES = 100  # frames kept of one traceback, the innermost ones
MAX_CHAIN = 10  # exceptions kept of one chain
MAX_EXCEPTIONS = 50  # kept of one record, groups and all
MAX_TEXT = 8192  # characters kept of an exception's message


def level_name(number: int) -> str:
    """Return the name of the highest standard level not above *number* (`TRACE` below that)."""
    name = LEVEL_NAMES.get(number)
    if name:
        return name
    below = [known for known in LEVEL_NAMES if known <= number]
    return LEVEL_NAMES[max(below)] if below else "TRACE"


def kept_name(name: str) -> str:
    """Return a pipeline's name as it is kept: of a very long one, the beginning."""
    return name[:MAX_NAME]


def event(name: str, run: str, data: dict[str, Any], stage: str = "", now_ns: int | None = None) -> dict[str, Any]:
    """Return an event record.

    Args:
        name: one of the constants above, or a user's own word.
        run: the run's ULID; never empty.
        data: what JSON can carry; anything else is made so by `journal.encode`.
        stage: `extract/merge`, or empty.
        now_ns: nanoseconds since the epoch, UTC.
    """
    record = {"k": "event", "t": time.time_ns() if now_ns is None else now_ns, "ev": name, "r": run, "x": data}
    if stage:
        record["s"] = stage
    return record


def user_event(name: object) -> str:
    """Return the name under which a program's own event is kept: nobody states the facts of flightlog by accident."""
    text = safe_text(name, MAX_EVENT)
    return "user." + text if text in _OURS or text.startswith(_OUR_KINDS) or not text else text


def safe_text(value: object, limit: int = MAX_TEXT) -> str:
    """Return str(*value*) cut to *limit* characters, then without secrets; says so instead of raising when the object cannot do it."""
    try:
        text = str(value)
    except Exception:  # what is no Exception may be a signal handler's sys.exit, which must not be swallowed
        return "<unprintable %s object>" % type(value).__name__
    return text if len(text) <= limit else redact.cut(text, limit)


def exception(problem: BaseException, trace: TracebackType | None = None) -> dict[str, Any]:
    """Return *problem* with its frames and chain as data: {type, module, message, frames, cause, context}, and of an exception group, group.

    Frames are oldest first, at most 100, {file, line, func, code}; locals are never taken. The chain is cut at ten and at cycles, a group at ten members, all at fifty.
    Never raises.
    """
    return _chain(problem, trace, set(), 0)


def _chain(problem: BaseException, trace: TracebackType | None, seen: set[int], depth: int) -> dict[str, Any]:
    seen.add(id(problem))
    kind = type(problem)
    data = {
        "type": kind.__qualname__,
        "module": kind.__module__,
        "message": safe_text(problem),
        "frames": _frames(problem.__traceback__ if trace is None else trace),
        "cause": None,
        "context": None,
    }  # type: dict[str, Any]
    if depth < MAX_CHAIN:
        cause, context = problem.__cause__, problem.__context__
        if cause is not None:
            if id(cause) not in seen:
                data["cause"] = _chain(cause, None, seen, depth + 1)
        elif context is not None and not problem.__suppress_context__ and id(context) not in seen:
            data["context"] = _chain(context, None, seen, depth + 1)
        members = getattr(problem, "exceptions", None)
        if isinstance(members, tuple) and hasattr(
            problem, "derive"
        ):  # of Python 3.11, or of the package that brought it to older ones
            data["group"] = [
                _chain(member, None, seen, depth + 1)
                for member in members[:MAX_CHAIN]
                if isinstance(member, BaseException) and id(member) not in seen and len(seen) < MAX_EXCEPTIONS
            ]
    return data


def _frames(trace: TracebackType | None) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append({"file": code.co_filename, "line": trace.tb_lineno, "func": code.co_name})
        if len(frames) > 2 * MAX_FRAMES:  # RecursionError: keep memory small while walking
            del frames[: len(frames) - MAX_FRAMES]
        trace = trace.tb_next
    del frames[: max(0, len(frames) - MAX_FRAMES)]
    for frame in frames:
        try:
            frame["code"] = sources.line(frame["file"], frame["line"]).strip()[:200]
        except Exception:  # a broken source file must not hide the exception
            frame["code"] = ""
    return frames
