"""What the agent says about its destinations, for `flightlog agent status`: a small file in the home, replaced by rename, never flushed.

Owns: `HOME/agent.status` and the words of a state. It is a report, not a state: nothing depends on it, and a stale one says its age.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import Any

NAME = "agent.status"
OFF, STARTING, SHIPPING, HOLDING = "off", "starting", "shipping", "holding"
EVERY_SECONDS = 5.0
STALE_SECONDS = 30.0


class Board:
    """The agent's side; may be used from several threads.

    Args:
        home: FLIGHTLOG_HOME.
    """

    def __init__(self, home: str) -> None:
        self._path = os.path.join(home, NAME)
        self._lock = threading.Lock()
        self._facts: dict[str, dict[str, Any]] = {}
        self._written: tuple[float, str] = (0.0, "")

    def say(self, destination: str, state: str, problem: str = "", hint: str = "", **more: Any) -> None:
        """Say how *destination* does. *more*: facts that stay until they are said anew."""
        with self._lock:
            facts = self._facts.setdefault(destination, {"since": time.time(), "caught_up_at": None})
            if (facts.get("state"), facts.get("problem")) != (state, problem or None):
                facts["since"] = time.time()
            facts.update(more, state=state, problem=problem or None, hint=hint or None)
            if more.get("backlog_bytes") == 0:
                facts["caught_up_at"] = time.time()

    def write(self) -> None:
        """Let it be seen, if there is news or the last time is a while ago. Never raises."""
        now = time.time()
        with self._lock:
            text = json.dumps(self._facts)
            # That nothing waits is true again at each look, and no news.
            news = json.dumps([{**facts, "caught_up_at": None} for facts in self._facts.values()])
            if news == self._written[1] and now - self._written[0] < EVERY_SECONDS:
                return
            self._written = (now, news)
        unfinished = f"{self._path}.{os.getpid()}"
        with contextlib.suppress(OSError):
            fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(
                    fd, json.dumps({"v": 1, "pid": os.getpid(), "at": now, "destinations": json.loads(text)}).encode()
                )
            finally:
                os.close(fd)
            os.rename(unfinished, self._path)


def read(home: str, pid: int | None) -> dict[str, dict[str, Any]]:
    """Return what the agent, process *pid*, said last about each destination; nothing when that is long ago. Never raises."""
    try:
        with open(os.path.join(home, NAME), encoding="utf-8") as file:
            data = json.load(file)
        if data["pid"] != pid or time.time() - data["at"] > STALE_SECONDS:
            return {}
        found = data["destinations"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
