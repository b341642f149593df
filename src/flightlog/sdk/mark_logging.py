"""The console's side of the hook into stdlib `logging`: what has been journalled is marked when a handler writes it to a capture pipe.

Owns: the reference that a record carries from the moment it is journalled, through copies, pickles and queues, by which it is journalled once
(`carry`); and the replacement of `StreamHandler.emit`, compiled under logging's own file name and lines, so that what logging prints
about its own errors stays as it was (`install`: in captured processes only).
"""

from __future__ import annotations

import weakref

from . import pipes, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Tuple

    Reference = Tuple[str, int]

KEY = "_fl_ref"  # of the reference while a record is pickled; else it is in a slot, which formatters do not see

# The line numbers are those of every logging module from 3.8 to 3.13, PyPy included: see `at_lines_of`.
_SOURCE = (
    "def emit(self, record):"
    + "\n" * 11
    + """\
        try:
            msg = self.format(record)
            stream = self.stream
            msg = _fl_mark(self, stream, record, msg)
            stream.write(msg + self.terminator)
            self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)
"""
)

REFUSED = ("", 0)  # the reference of a record that was not accepted: it is counted, and not to be tried again
Carrying: type | None = None  # the class of records that have a slot for it, as logging makes them
_foreign: weakref.WeakKeyDictionary[Any, Reference] = (
    weakref.WeakKeyDictionary()
)  # of records of the program's own classes


def at_lines_of(original: Any, source: str) -> str:
    """Return *source* moved down to where *original* begins, so that tracebacks name and show the lines they would have named."""
    return "\n" * (int(original.__code__.co_firstlineno) - 1) + source


def install(logging: ModuleType, dispatch: Any) -> None:
    """Install into the module *logging*; *dispatch* says what the thread is handing to handlers."""
    original = logging.StreamHandler.emit
    raw_of, own = pipes.raw_of, pipes.raws

    def mark(handler: Any, stream: Any, record: Any, msg: Any) -> Any:
        try:
            if raw_of(stream) not in own:  # a file, most often: nothing to be marked
                return msg
            found = known(record, dispatch)
            if found is not None and type(msg) is str and streams.markable(stream):
                return streams.prefix(stream, msg + handler.terminator, found) + msg
        except Exception:  # whatever is wrong with it: the handler will say so
            pass
        return msg

    logging.__dict__["_fl_mark"] = mark
    made: dict[str, Any] = {}
    exec(compile(at_lines_of(original, _SOURCE), logging._srcfile, "exec"), logging.__dict__, made)  # noqa: S102
    logging.StreamHandler.emit = made["emit"]


def carry(logging: ModuleType) -> None:
    """Let records carry their reference, from here on. Idempotent."""
    global Carrying
    if Carrying is not None:
        return
    base = logging.getLogRecordFactory()
    if not isinstance(base, type):
        return
    make = logging.makeLogRecord

    def makeLogRecord(dict: Any) -> Any:
        record = make(dict)
        found = record.__dict__.pop(KEY, None)
        if found is not None:
            remember(record, found)
        return record

    makeLogRecord.__module__, makeLogRecord.__doc__ = make.__module__, make.__doc__
    makeLogRecord.__qualname__ = make.__qualname__

    def reduce(self: Any, protocol: Any) -> Any:
        # As a plain record: its class is not to be found by name, and who unpickles it may never have heard of us.
        state = dict(self.__dict__)
        found = reference(self)
        if found is not None:
            state[KEY] = found
        return makeLogRecord, (state,)

    def copy(self: Any) -> Any:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        remember(twin, reference(self))
        return twin

    Carrying = type(
        base.__name__,
        (base,),
        {"__slots__": (KEY,), "__module__": base.__module__, "__reduce_ex__": reduce, "__copy__": copy},
    )
    logging.setLogRecordFactory(Carrying)
    logging.makeLogRecord = makeLogRecord  # type: ignore[attr-defined]


def remember(record: Any, found: Reference | None) -> None:
    """Let *record* carry the reference under which it was journalled."""
    if Carrying is not None and isinstance(record, Carrying):
        record._fl_ref = found  # type: ignore[attr-defined]
    elif found is not None:
        try:
            _foreign[record] = found
        except TypeError:  # a class that cannot be referred to weakly, or has no hash
            pass


def reference(record: Any) -> Reference | None:
    """Return the reference that *record* carries, None when it carries none."""
    if Carrying is not None and isinstance(record, Carrying):
        return getattr(record, KEY, None)
    try:
        return _foreign.get(record)
    except TypeError:
        return None


def known(record: Any, dispatch: Any) -> Reference | None:
    """Return the reference of *record*: its own, or that of the record inside whose dispatch a bridge made this one with the same message."""
    found = reference(record)
    if found is None and dispatch.outer is not None and dispatch.outer[0] == record.getMessage():
        return dispatch.outer[1]  # type: ignore[no-any-return]
    return found
