"""Which of a writer's own numbers were read from a segment that turned out to be damaged: what stands there twice is taken once.

A file system that loses pages may also show one of them twice. No writer uses a number twice, so a frame behind damage whose number was read from the same
segment before is that very record. Nothing is kept, and nothing costs anything, as long as no damage is met.
Owns: that memory, of one segment. It is not in the committed position: an agent that begins anew behind the damage takes what it sees.
"""

from __future__ import annotations

from ..journal import reader


class Numbers:
    """The numbers of one writer's damaged segment."""

    def __init__(self) -> None:
        self._segno = -1
        self._seen: set[int] = set()

    def learn(self, segno: int, fd: int, salt: int, end: int) -> None:
        """Begin to look at segment *segno*, which is damaged at *end*: read again what stands before. Raises OSError."""
        if segno == self._segno:
            return
        self._segno = segno
        self._seen = set()
        offset = 0
        while offset < end:
            chunk = reader.read_chunk(fd, salt, offset, end - offset)
            self._seen.update(n for stop, n, _ in chunk.frames if stop <= end)
            following = chunk.resume if chunk.stop in (reader.DAMAGE, reader.PARTIAL) else chunk.next
            if following <= offset:
                break
            offset = following

    def repeated(self, segno: int, frames: list[tuple[int, int, bytes]]) -> list[int]:
        """Return which of *frames* of segment *segno* were read before, by their index."""
        if segno != self._segno:
            return []
        found: set[int] = set()
        result = []
        for index, (_, n, _payload) in enumerate(frames):
            if n in self._seen or n in found:
                result.append(index)
            found.add(n)
        return result

    def add(self, segno: int, frames: list[tuple[int, int, bytes]], offset: int) -> None:
        """Remember *frames*, as far as they were taken: up to *offset*."""
        if segno == self._segno:
            self._seen.update(n for end, n, _ in frames if end <= offset)
