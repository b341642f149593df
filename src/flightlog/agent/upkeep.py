"""Beside shipping, once a second, in a thread of its own: flush what pipelines have written, say that somebody watches, obey the kill switch.

Invariants: a sink that hangs never keeps the spool from being flushed (DESIGN D9: at power loss at most the last second) nor the kill switch from
being heard (D13: 5 s). Owns: fdatasync, the control page, the compiled settings, pressure from the quota. Touches no sink.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import identity
from ..config import switch
from ..config.compiling import Rules
from ..config.control import ControlPage
from ..errors import SegmentError
from ..journal.format import CAPTURE_SUFFIX, SEGMENT_SUFFIX, segment_name
from ..system import os
from .spool import CAPTURE, Files, bytes_of, directories, flush_folder, look

EVERY_SECONDS = 1.0
PRESSURES = ((0.95, 3), (0.85, 2), (0.70, 1))  # share of the quota, pressure


class Upkeep:
    """The thread.

    Args:
        home: FLIGHTLOG_HOME.
        chosen: FLIGHTLOG_SPOOL or empty.
        config: the config file whose switch is watched, or empty.
        quota: bytes the spool may hold.
    """

    def __init__(self, home: str, chosen: str, config: str, quota: int) -> None:
        self._home, self._chosen, self._config, self._quota = home, chosen, config, quota
        self._rules = Rules(config)
        self.say: Callable[[str], None] = lambda text: None  # where to say what is wrong with the config file
        self._sizes: dict[tuple[str, str, int], int] = {}
        self._stop = threading.Event()
        self._page: ControlPage | None = None
        self._thread = threading.Thread(target=self._run, name="flightlog-upkeep", daemon=True)
        self.pressure = 0
        self.disabled = False
        self.rounds = 0

    def start(self) -> None:
        """Begin."""
        try:
            self._page = ControlPage(identity.control_path(self._config))
        except OSError:
            self._page = None  # writers then look at the config by themselves
        self._thread.start()

    def stop(self) -> None:
        """End, after a last flush. Blocks for as long as the disk does, at most 5 s."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            last = self._stop.wait(EVERY_SECONDS if self.rounds else 0.0)
            self._round()
            if last:
                return

    def _round(self) -> None:
        wrong = self._rules.look()
        if wrong:
            self.say(f"the config file is not taken, what it said before holds: {wrong}")
        found = look(directories(self._home, self._chosen))
        used = bytes_of(found) / self._quota if self._quota else 0.0
        self.pressure = next((pressure for share, pressure in PRESSURES if used >= share), 0)
        self.disabled = not switch.file_enabled(self._config)
        if self._page is not None:
            self._page.set_state(self.pressure, self.disabled)
            self._page.beat()
        seen: dict[tuple[str, str, int], int] = {}
        grown = set()
        for files in found.values():
            suffix = CAPTURE_SUFFIX if files.kind == CAPTURE else SEGMENT_SUFFIX
            for number, size in files.sizes.items():
                key = (files.directory, files.writer, number)
                if key not in self._sizes:
                    grown.add(files.directory)  # fsync(2): flushing a file does not flush its name
                if self._sizes.get(key) == size or _flush(files, segment_name(files.writer, number, suffix)):
                    seen[key] = size  # what could not be flushed is tried again
        for folder in grown:
            flush_folder(folder)
        self._sizes = seen
        self.rounds += 1


def _flush(files: Files, name: str) -> bool:
    try:
        fd = files.open(name)
    except (OSError, SegmentError):
        return False
    try:
        os.fdatasync(fd)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
