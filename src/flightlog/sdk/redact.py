"""Redaction as the SDK uses it: the functions of `flightlog.redact`, under the rules that this process's config file asks for.

Owns: reading the compiled rules when the SDK is loaded and again when they have changed, and who must then forget what was made under the old ones.
Never raises: without a file, or with a broken one, the built-in rules hold, and `trouble` says so, which the recorder records.
"""

from __future__ import annotations

import os

from .. import identity
from ..config import compiled, switch
from ..config.compiled import Compiled, path_for
from ..redact import HARMLESS_LENGTH, MASK, cut, divide, fields, harmless_length, is_secret_key, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__ = [
    "HARMLESS_LENGTH",
    "MASK",
    "cut",
    "divide",
    "fields",
    "harmless_length",
    "is_secret_key",
    "least_level",
    "look",
    "on_change",
    "text",
    "trouble",
    "unheeded",
]

_forget: list[Callable[[], object]] = []
_compiled = Compiled()
trouble = ""  # why not all that the config file asks for holds in this process


def on_change(forget: Callable[[], object]) -> None:
    """Have *forget* called when other rules apply: for whoever keeps texts that were masked once."""
    _forget.append(forget)
    if _compiled.loaded:
        forget()


def look(control_path: str) -> None:
    """Take the rules that lie beside the control page, if they have changed. One stat(2). Never raises."""
    global trouble
    if not _compiled.look(path_for(control_path)):
        trouble = _compiled.problem
        return
    trouble = _compiled.problem
    for forget in _forget:
        try:
            forget()
        except Exception as problem:  # the others must hear of it
            trouble = "rules of redaction may not hold yet: %s" % ascii(problem)


def least_level() -> int:
    """Return the lowest level of log records that the config file wants, as of the last look; 0: all."""
    return _compiled.level


def unheeded(control_path: str, config: str) -> str:
    """Return what is wrong when nobody has compiled what *config* says about redaction."""
    return "" if _compiled.loaded else compiled.unheeded(path_for(control_path), config)


def _start() -> None:
    global trouble
    try:
        look(identity.control_path(os.environ.get("FLIGHTLOG_CONFIG") or switch.find_config()))
    except Exception as problem:
        trouble = "the rules of redaction could not be read: %s; the built-in ones hold" % ascii(problem)


_start()
