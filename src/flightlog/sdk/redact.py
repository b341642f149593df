"""Redaction as the SDK uses it: the functions of `flightlog.redact`, under the rules that this process's config file asks for.

Owns: reading the compiled rules when the SDK is loaded and again when they have changed, and who must then forget what was made under the old ones.
Never raises: without a file, or with a broken one, the built-in rules hold.
"""

from __future__ import annotations

import os

from .. import identity
from ..config import switch
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
    "look",
    "on_change",
    "text",
]

_forget: list[Callable[[], object]] = []
_compiled = Compiled()


def on_change(forget: Callable[[], object]) -> None:
    """Have *forget* called when other rules apply: for whoever keeps texts that were masked once."""
    _forget.append(forget)
    if _compiled.loaded:
        forget()


def look(control_path: str) -> None:
    """Take the rules that lie beside the control page, if they have changed. One stat(2). Never raises."""
    if _compiled.look(path_for(control_path)):
        for forget in _forget:
            try:
                forget()
            except Exception:  # the others must hear of it
                continue


def _start() -> None:
    try:
        look(identity.control_path(os.environ.get("FLIGHTLOG_CONFIG") or switch.find_config()))
    except Exception:
        pass


_start()
