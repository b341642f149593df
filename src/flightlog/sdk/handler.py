"""`DatabaseLogHandler`: a handler for those who want to say in their logging configuration what goes into the database.

Owns: the class, nameable in a dictConfig as `flightlog.DatabaseLogHandler`. It writes to the journal of its process, from which the agent ships: no
connection is made, no thread begun, no lock held while writing. Each record once: what a hook (`hook_logging`) or another of these handlers has
taken is left alone, by the reference that every record carries. Leaves making the record to `hook_logging.take`.
"""

from __future__ import annotations

import logging

from . import attach, hook_logging, mark_logging
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class DatabaseLogHandler(logging.Handler):
    """Journals what reaches it, exactly once, also where nothing else of flightlog is set up.

    A record has level, logger, message, place, thread, `extra` as fields, exception and stack. Level and filters of the handler are honoured. A
    formatter, if one is set, makes the record's message (times and levels in its format stand there a second time); without one the message is the
    plain text. In a supervised process, or after `flightlog.init()`, every record that a logger hands to handlers is recorded by itself, with its
    plain message: then this handler adds nothing and takes nothing away.

    Blocks no longer than the write of one record to a file (where `logging.on_full` says so: until there is room); raises nothing; is safe in threads,
    forked children and signal handlers. What could not be written is counted, and `flightlog audit` shows it.

    Args:
        level: the lowest that is handled, a number or a name.
        pipeline: the name that the process runs under if it has none yet; default: the program's.
    """

    def __init__(self, level: int | str = logging.NOTSET, pipeline: str = "") -> None:
        super().__init__(level)
        try:
            hook_logging.prepare(logging)
            attach.end_at_exit()
            if pipeline and not recorder.pipeline:
                recorder.pipeline = str(pipeline)
        except Exception:
            recorder.errors += 1

    def handle(self, record: logging.LogRecord) -> Any:
        """Journal *record* if the filters let it through; what they return is returned. No lock: a record is one write."""
        passed = self.filter(record)  # type: Any
        if isinstance(passed, logging.LogRecord) and passed is not record:
            # From Python 3.12 on a filter may put another in its place: it is the same record to the next of these handlers.
            if mark_logging.reference(passed) is None:
                mark_logging.remember(passed, mark_logging.reference(record))
            self.emit(passed)
            mark_logging.remember(record, mark_logging.reference(passed))
        elif passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Journal *record* unless that has been done."""
        try:
            done = mark_logging.known(record, hook_logging.dispatch) is not None
        except Exception:  # of its own getMessage; `take` writes what can be said of it
            done = False
        if not done:
            form = None if self.formatter is None else self.formatter.format
            hook_logging.dispatch.outer = hook_logging.take(None, record, form)
