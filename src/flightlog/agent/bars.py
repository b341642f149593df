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
    """Return the last state of a bar and what it says; a text that is none as it is, and None. Words that were written over and are no state stand above.

    Args:
        text: one line, without its end and without terminal sequences.
    """
    if "\r" not in text:
        return text, None
    states = [state for state in text.split("\r") if state.strip()]
    if len(states) < 2:
        return (states[0] if states else ""), None
    if sum(is_state(state) for state in states) < LEAST_SHARE * len(states):
        return text, None
    last = states[-1].rstrip()
    said: dict[str, Any] = {"updates": len(states) - 1}
    for state in reversed(states):  # the last one may be blanks, or a word of farewell
        found = figures(state)
        if found:
            said.update(found)
            break
    lost = dict.fromkeys(text for text in map(str.strip, states[:-1]) if not is_state(text) and text not in last)
    return "\n".join([*lost, last]), said


def so_far(data: bytes) -> int:
    """Return how much of an open line is states of a bar that have been written over; 0 when it is no bar.

    Args:
        data: a line whose end has not come.
    """
    # What follows the last return is still on the screen; one at the very end may be half of a line end.
    end = data.rfind(b"\r", 0, -1) + 1
    if end < 2 or b"\x1b_" in data or b"\n" in data:
        return 0
    return end if fold(data[:end].decode("utf-8", "replace"))[1] is not None else 0


def is_state(text: str) -> bool:
    """Tell whether a text looks like the state of a bar, or like one of a spinner in braille."""
    return "\u2800" <= text.lstrip()[:1] <= "\u28ff" or bool(
        _PERCENT.search(text) or _OF.search(text) or _OTHER.search(text)
    )


def figures(state: str) -> dict[str, int]:
    """Return what a bar says: percent, done and total, as far as they are there."""
    found: dict[str, int] = {}
    percent, count = _PERCENT.search(state), _OF.search(state)
    if percent and int(percent[1]) <= 100:
        found["percent"] = int(percent[1])
    if count:
        done, total = (int(number.replace(",", "")) for number in count.groups())
        if total and done <= total < 1 << 53:
            found.update(done=done, total=total)
    return found
