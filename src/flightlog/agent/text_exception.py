"""An exception that is data (records.exception) as the lines Python would print.

Invariants: anything may be missing or of another kind, because whoever wrote it may be anybody; bounded: at most 10 exceptions of a chain, 200
frames of each. Owns: that text. Leaves escaping to the caller.
"""

from __future__ import annotations

from typing import Any

MAX_CHAIN, MAX_FRAMES = 10, 200
_LINKS = (
    ("cause", "The above exception was the direct cause of the following exception:"),
    ("context", "During handling of the above exception, another exception occurred:"),
)


def traceback_lines(error: dict[str, Any]) -> list[str]:
    """Return *error* and what it came from, the oldest first; no line contains a newline."""
    chain: list[tuple[dict[str, Any], str]] = []  # the newest first; with what is said between it and the one before
    current: dict[str, Any] | None = error
    words = ""
    while current is not None and len(chain) < MAX_CHAIN:
        chain.append((current, words))
        one: dict[str, Any] = current
        name, words = next(((name, words) for name, words in _LINKS if isinstance(one.get(name), dict)), ("", ""))
        current = one[name] if name else None
    lines: list[str] = []
    for one, behind in reversed(chain):
        lines += _one(one)
        lines += ["", behind, ""] if behind else []
    return [part for line in lines for part in line.split("\n")]


def _one(error: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    frames = error.get("frames")
    if frames and isinstance(frames, list):
        lines.append("Traceback (most recent call last):")
        for frame in frames[-MAX_FRAMES:]:
            if isinstance(frame, dict):
                lines.append(f'  File "{frame.get("file")}", line {frame.get("line")}, in {frame.get("func")}')
                lines += [f"    {frame['code']}"] if frame.get("code") else []
    module, kind, message = error.get("module"), str(error.get("type")), error.get("message")
    if module not in (None, "builtins", "__main__"):
        kind = f"{module}.{kind}"
    return [*lines, f"{kind}: {message}" if message else kind]
