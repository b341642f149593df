"""Text logs in a directory: a batch of lines goes into them together with the positions it was read up to, or not at all.

Invariants: exactly once as far as a file can give it: killed at any point, the next opening cuts each log back to what the positions file says
and goes on from there (`file_positions`); the bytes of all logs, rotated ones and what is being compressed included, never exceed the budget; one
process writes to a directory, by lock. After any error the sink is closed and opened anew, so that no error path has a state of its own.
Owns: the batch, rotation, the budget. Leaves one file to `file_log`, rotated ones to `file_backups`, reading to `file_shipper`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import SinkError, SinkMisconfigured, SinkUnavailable
from . import faults
from .copytext import SECONDS_OF_DAY
from .file_backups import Backups
from .file_log import FileLog, cut_off
from .file_names import active
from .file_positions import FilePositions, LogState, load
from .sink import Position

LOCK_NAME = ".flightlog-lock"
COMPRESS_AGAIN_SECONDS = 600.0
MAX_OPEN = 64  # descriptors kept open between batches
_FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "it is read-only"}


@dataclass(frozen=True)
class FileWish:
    """How text logs are wanted: `logging.file` of the settings, with `directory` filled in."""

    directory: str
    format: str = "text"
    when: str = "size"
    max_bytes: int = 64 << 20
    backups: int = 10
    compress: bool = False
    total: int = 2 << 30

    @property
    def batch_bytes(self) -> int:
        """How much one batch may bring: it must fit into a file, and with the largest line there can be into the budget."""
        return min(self.max_bytes, self.total // 4, 8 << 20)


class FileSink:
    """The directory. Not opened yet.

    Args:
        wish: what is wanted.
    """

    def __init__(self, wish: FileWish) -> None:
        self.wish = wish
        self.positions = FilePositions(wish.directory)
        self.fresh = False  # whether the directory had no positions
        self.removed = 0  # rotated logs removed because of the budget, not because of their number
        self._folder = self._lock = -1
        self._logs: dict[str, FileLog] = {}
        self._backups: Backups | None = None
        self._compress_at = 0.0

    @property
    def max_bytes(self) -> int:
        """How long one log gets."""
        return min(self.wish.max_bytes, self.wish.total // 4)

    def open(self) -> None:
        """Take the directory and put it into the state of the last acknowledged batch. Raises SinkError."""
        try:
            self._open()
        except OSError as problem:
            self.close()
            raise self.translate(problem) from problem
        except SinkError:
            self.close()
            raise

    def write(self, texts: Mapping[str, Sequence[str]], advances: Mapping[str, Position]) -> None:
        """Append lines by pipeline, and acknowledge positions of writers with them. Durable on return.

        Raises SinkError: then nothing of it counts, and the sink must be closed.
        """
        try:
            self._write(
                {name: "".join(lines).encode("utf-8", "backslashreplace") for name, lines in texts.items() if lines},
                advances,
            )
        except OSError as problem:
            raise self.translate(problem) from problem

    def tidy(self) -> bool:
        """Compress a little, if that is wanted; tell whether more is to be done. Never raises: the logs matter more."""
        if not self.wish.compress or self._backups is None or time.monotonic() < self._compress_at:
            return False
        try:
            room = self._backups.wanted()
            while room and self._used() + room > self.wish.total:
                if len(self._backups) <= 1 or not self._backups.remove_oldest():
                    return False  # it is larger than what compressing it could save
                self.removed += 1
            return self._backups.compress()
        except OSError:
            self._backups.close()
            self._compress_at = time.monotonic() + COMPRESS_AGAIN_SECONDS
            return False

    def save(self) -> None:
        """Store what was set in `positions` beside writers. Raises SinkError."""
        try:
            self.positions.save(self._folder)
        except OSError as problem:
            raise self.translate(problem) from problem

    def close(self) -> None:
        """Let go; what was appended and not acknowledged is cut off, so that nobody reads half a batch. Never raises."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        if self._backups is not None:
            self._backups.close()
            self._backups = None
        try:
            if self._folder >= 0 and self._lock >= 0:
                stored = load(self.wish.directory)
                for name, state in stored.logs.items() if stored else ():
                    cut_off(self._folder, name, state)
        except (OSError, SinkError):
            pass  # the next opening does it
        for fd in (self._folder, self._lock):
            if fd >= 0:
                os.close(fd)
        self._folder = self._lock = -1

    def translate(self, problem: OSError) -> SinkError:
        """Return *problem* as words for the agent's log and its status."""
        directory = self.wish.directory
        words = _FULL.get(problem.errno or 0)
        if words:
            return SinkUnavailable(
                f"text logs in {directory}: {words}", "make room, or lower logging.file.total; it goes on by itself"
            )
        text = f"text logs in {directory}: {problem.strerror or problem}"
        return SinkMisconfigured(text, "check the directory and its rights, or set logging.file.directory")

    def _open(self) -> None:
        directory = self.wish.directory
        if not os.path.isdir(directory):
            os.makedirs(os.path.dirname(directory), exist_ok=True)
            os.mkdir(directory, 0o750)
            os.chmod(directory, 0o750)  # noqa: S103 - whatever the umask is; a group may read logs
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        lock = os.open(LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(lock)
            raise SinkMisconfigured(
                f"another agent writes text logs into {directory}",
                "give each agent a logging.file.directory of its own",
            ) from problem
        self._lock = lock
        stored = load(directory)
        self.fresh = stored is None
        self.positions = stored or FilePositions(directory, time.time_ns())
        self._recover()
        self._backups = Backups(self._folder, directory)
        self._backups.scan(self.positions.logs)
        for name, state in self.positions.logs.items():
            state.next = max(state.next, self._backups.highest(name) + 1)

    def _recover(self) -> None:
        """Cut each log back to its acknowledged length, under whatever name it has now."""
        moved = {}
        for name, state in self.positions.logs.items():
            if state.inode and not cut_off(self._folder, name, state):
                moved[state.inode] = state
        if not moved:
            return
        with os.scandir(self.wish.directory) as entries:
            names = [(entry.name, entry.inode()) for entry in entries]
        for name, inode in names:
            if inode in moved:  # we were about to rotate it, or somebody else has renamed it
                cut_off(self._folder, name, moved[inode])
        for state in moved.values():
            state.inode = state.length = state.check = 0

    def _write(self, blocks: dict[str, bytes], advances: Mapping[str, Position]) -> None:
        day = int(time.time()) // SECONDS_OF_DAY
        wanted = {active(pipeline, self.wish.format): block for pipeline, block in blocks.items()}
        changed = False
        for name in wanted:
            changed = self._log(name).ready(day) or changed
        changed = self._make_room(sum(map(len, wanted.values())) + len(wanted), day) or changed
        for name, block in wanted.items():
            log = self._logs[name]
            if log.state.length and self._is_due(log.state, len(block), day):
                self._rotate(name, day)
                changed = True
        if changed:  # nothing is appended to a file that the positions file does not know
            self.positions.save(self._folder)
            faults.point("file_begun")
        for name, block in wanted.items():
            self._logs[name].append(block)
        faults.point("file_written")
        for name in wanted:
            self._logs[name].sync()
        faults.point("file_synced")
        self.positions.save(self._folder, advances)
        if len(self._logs) > MAX_OPEN:
            for log in self._logs.values():
                log.close()

    def _log(self, name: str) -> FileLog:
        log = self._logs.get(name)
        if log is None:
            state = self.positions.logs.get(name)
            if state is None:
                state = self.positions.logs[name] = LogState()
                assert self._backups is not None
                self._backups.scan(self.positions.logs)  # it may have rotated files of an earlier time
                state.next = self._backups.highest(name) + 1
            log = self._logs[name] = FileLog(self._folder, name, state)
        return log

    def _is_due(self, state: LogState, coming: int, day: int) -> bool:
        return state.length + coming > self.max_bytes or (self.wish.when == "day" and state.day != day)

    def _rotate(self, name: str, day: int) -> None:
        assert self._backups is not None
        log = self._log(name)
        log.ready(day)
        size = log.state.length
        log.rotate(day)
        self._backups.add(name, log.state.next - 1, size, time.time())
        self._backups.keep(name, self.wish.backups)

    def _used(self) -> int:
        assert self._backups is not None
        return self._backups.bytes + sum(state.length for state in self.positions.logs.values())

    def _make_room(self, coming: int, day: int) -> bool:
        """Remove the oldest logs until *coming* bytes fit into the budget; tell whether a log was rotated. Raises OSError, SinkError."""
        assert self._backups is not None
        changed = False
        if self._used() + coming <= self.wish.total:
            return changed
        self._backups.scan(self.positions.logs)  # somebody else may have removed some
        while self._used() + coming > self.wish.total:
            if self._backups.remove_oldest():
                self.removed += 1
                continue
            filled = [(state.day, -state.length, name) for name, state in self.positions.logs.items() if state.length]
            if not filled:
                raise SinkUnavailable(f"{coming} bytes do not fit into logging.file.total", "raise it")
            name = min(filled)[2]
            log = self._log(name)
            changed = log.ready(day) or changed
            if log.state.length:
                self._rotate(name, day)
                changed = True
        return changed
