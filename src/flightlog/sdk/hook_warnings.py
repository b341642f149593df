"""The hook into `warnings`: what `showwarning` prints is one record at level WARNING, with its category, and its console copy is marked.

Owns: the replacement of `warnings._showwarnmsg_impl`, compiled under the module's own file name and lines, and what `logging.captureWarnings`
adds to a record of ours. What filters ignore, turn into errors or `catch_warnings(record=True)` collects is no output and is not recorded; a `showwarning` of the
program's own is left alone, and what it prints is output. A warning that the interpreter shows before `warnings` is imported is output as well.
"""

from __future__ import annotations

import sys

from .. import records
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import bridged, streams
from .mark_logging import at_lines_of
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

LOGGER = "py.warnings"  # as logging.captureWarnings names it

# Line by line below the text of every warnings module from 3.8 to 3.13, PyPy included: see `mark_logging.at_lines_of`.
_SOURCE = (
    """\
def _showwarnmsg_impl(msg):
    file = msg.file
    if file is None:
        file = sys.stderr
        if file is None:
            return
"""
    + "\n" * 2
    + """\
    text = _fl_shown(msg, file, FORMAT(msg))
    try:
        file.write(text)
    except OSError:
        pass
"""
)
# Not a frame of its own: `findCaller` passes over those of logging's own file.
_CAPTURE = """\
def _showwarning(message, category, filename, lineno, file=None, line=None):
    before = _fl_warned(category)
    try:
        return _fl_showwarning(message, category, filename, lineno, file, line)
    finally:
        _fl_dispatch.event = before
"""


def install(module: ModuleType) -> None:
    """Install into the module `warnings`."""
    original = module._showwarnmsg_impl
    code, own = getattr(original, "__code__", None), getattr(module._formatwarnmsg, "__code__", None)
    if code is None or own is None or code.co_filename != own.co_filename:
        return  # somebody else was here: what it prints is output
    namespace = original.__globals__
    source = _SOURCE.replace("FORMAT", "_wm._formatwarnmsg" if "_wm" in namespace else "_formatwarnmsg")
    namespace["_fl_shown"] = _shown_by()
    made: dict[str, Any] = {}
    exec(compile(at_lines_of(original, source), code.co_filename, "exec"), namespace, made)  # noqa: S102
    module._showwarnmsg_impl = made["_showwarnmsg_impl"]  # type: ignore[attr-defined]


def _shown_by() -> Any:
    """Return what journals a warning and marks its text. All that it needs is bound here: warnings are shown when the interpreter goes down, too."""
    write, streams_of, own = bridged.write, sys, recorder
    markable, marked, reference = streams.markable, streams.marked, streams.reference
    mistakes, aborts, rises = MISTAKES, STACK_ABORTS, must_rise
    level, logger = records.WARNING, LOGGER

    def shown(msg: Any, file: Any, text: str) -> str:
        """Journal a warning that is about to be written as *text* to standard error, and return it marked. Never raises."""
        try:
            if file is streams_of.stderr:
                fields, place = {"category": msg.category.__name__}, (str(msg.filename), int(msg.lineno), "")
                n = write(level, logger, msg.message, fields, place=place)
                if n and markable(file):
                    return marked(file, text, reference(n))
        except mistakes as problem:
            if aborts and rises(problem):
                raise
            own.failed += 1
            own.check_at = 0
        return text

    return shown


def install_logging(logging: ModuleType) -> None:
    """Install into `logging`: the record that captureWarnings makes has the category among its fields."""
    from .hook_logging import dispatch

    original = logging._showwarning
    code = getattr(original, "__code__", None)
    if code is None or code.co_filename != logging.captureWarnings.__code__.co_filename:
        return

    def warned(category: Any) -> Any:
        before = dispatch.event
        dispatch.event = (None, {"category": str(getattr(category, "__name__", category))}, None, None)
        return before

    namespace = logging.__dict__
    namespace["_fl_warned"], namespace["_fl_showwarning"], namespace["_fl_dispatch"] = warned, original, dispatch
    made: dict[str, Any] = {}
    exec(compile(at_lines_of(original, _CAPTURE), logging._srcfile, "exec"), namespace, made)  # noqa: S102
    made["_showwarning"].__doc__ = original.__doc__
    logging._showwarning = made["_showwarning"]  # type: ignore[attr-defined]
