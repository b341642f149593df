"""The hooks into consoles of others: a handler that prints a record by rich or by tqdm's `write` prints the copy of a record.

Owns: the replacements of `rich.console.Console._render_buffer` and `tqdm.std.tqdm.write`. Which record is printed is seen on the stack: the nearest
`emit(self, record)` of a handler; nothing of the handler is replaced, so that RichHandler, Prefect's console handler, tqdm's redirection and handlers of the
program's own are all known by it. Of handlers that we do not know only a text with each word of the message in it is taken for the copy. While rich draws
a display besides, the text is left unmarked: it holds both. Installed in captured processes only; any doubt shows a line twice.
"""

from __future__ import annotations

import re
import sys

from . import mark_logging, pipes, streams
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

MAX_FRAMES = 40  # between the handler and the write
KNOWN = frozenset(
    ("rich.logging", "prefect.logging.handlers")
)  # modules whose handlers print the record and nothing else
_ESCAPES = re.compile(r"\x1b\[[0-9;:?]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


def _printed(text: str) -> tuple[str, int] | None:
    """Return the reference of the record whose copy *text* is, None when it is none, or none that we know of."""
    logging = sys.modules.get("logging")
    dispatch = getattr(sys.modules.get("flightlog.sdk.hook_logging"), "dispatch", None)
    if logging is None or dispatch is None:
        return None
    frame: FrameType | None = sys._getframe(2)
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        if frame.f_code.co_name == "emit":
            names = frame.f_locals
            record = names.get("record")
            if isinstance(record, logging.LogRecord) and isinstance(names.get("self"), logging.Handler):
                if frame.f_globals.get("__name__") in KNOWN or _says(text, record.getMessage()):
                    return mark_logging.known(record, dispatch)
                return None
        frame = frame.f_back
    return None


def _says(text: str, message: str) -> bool:
    """Tell whether each word of *message* stands in *text*, in this order."""
    if message in text:
        return True
    plain, at = _ESCAPES.sub("", text), 0
    for word in message.split():
        at = plain.find(word, at) + len(word)
        if at < len(word):
            return False
    return True


def install_rich(module: ModuleType) -> None:
    """Install into rich.console."""
    if not pipes.captured():
        return
    original = module.Console._render_buffer

    def _render_buffer(self: Any, buffer: Any) -> Any:
        text = original(self, buffer)
        try:
            if text and not self._buffer_index and not _draws(self) and streams.markable(self.file):
                return streams.marked(self.file, text, _printed(text))
        except Exception:
            recorder.errors += 1
        return text

    module.Console._render_buffer = _render_buffer


def _draws(console: Any) -> bool:
    return bool(getattr(console, "_live", None) or getattr(console, "_live_stack", None))


def install_tqdm(module: ModuleType) -> None:
    """Install into tqdm.std."""
    if not pipes.captured():
        return
    original = module.tqdm.__dict__["write"].__func__

    def write(cls: Any, s: Any, file: Any = None, end: Any = "\n", nolock: Any = False) -> Any:
        try:
            stream = sys.stdout if file is None else file
            if type(s) is str and type(end) is str and streams.markable(stream):
                s = streams.prefix(stream, s + end, _printed(s)) + s
        except Exception:
            recorder.errors += 1
        return original(cls, s, file, end, nolock)

    write.__doc__ = original.__doc__
    module.tqdm.write = classmethod(write)
