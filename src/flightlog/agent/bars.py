r"""Progress bars in captured output: what a terminal would have shown last, instead of every state one after the other.

    "  0%|   | 0/9\r 55%|#  | 5/9\r100%|###| 9/9 [00:01<00:00]"   ->   "100%|###| 9/9 [00:01<00:00]", {"percent": 100, "done": 9, "total": 9, "updates": 2}

A bar goes back to the beginning of its line by a carriage return and writes over itself (tqdm, pip, curl, wget, dd). Only what looks like one is folded:
a text with carriage returns in it that is something else keeps every word. Pure. Owns: this. Leaves bytes to `lines`; they are in the spool until acknowledged.
"""

from __future__ import annotations

import re
from typing import Any

_PERCENT = re.compile(r"(\d{1,3})(?:\.\d+)?\s?%")
_OF = re.compile(r"(\d[\d,]*)\s?/\s?(\d[\d,]*)")
_OTHER = re.compile(r"\d\s?(?:it|s|[kKMG]i?B|B|bytes|rows|items)(?:/s|\b)")
LEAST_SHARE = 0.6  # of the states that have to look like one


def fold(text: str) -> tuple[str, dict[str, Any] | None]:
    """Return the last state of a bar and what it says; a text that is none as it is, and None.

    Args:
        text: one line, without its end and without terminal sequences.
    """
    if "\r" not in text:
        return text, None
    states = [state for state in text.split("\r") if state.strip()]
    if len(states) < 2:
        return (states[0] if states else ""), None
    if sum(_is_state(state) for state in states) < LEAST_SHARE * len(states):
        return text, None
    last = states[-1].rstrip()
    said: dict[str, Any] = {"updates": len(states) - 1}
    for state in reversed(states):  # the last one may be blanks, or a word of farewell
        found = _figures(state)
        if found:
            said.update(found)
            break
    return last, said


def _is_state(text: str) -> bool:
    return bool(_PERCENT.search(text) or _OF.search(text) or _OTHER.search(text))


def _figures(state: str) -> dict[str, int]:
    found: dict[str, int] = {}
    percent, count = _PERCENT.search(state), _OF.search(state)
    if percent and int(percent[1]) <= 100:
        found["percent"] = int(percent[1])
    if count:
        done, total = (int(number.replace(",", "")) for number in count.groups())
        if total and done <= total < 1 << 53:
            found.update(done=done, total=total)
    return found
