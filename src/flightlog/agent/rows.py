"""Rows as COPY lines; the columns and their order are ADR 0008's, held together by a test.

Invariants: one line per record, whatever is in it; each line says in its first columns which record it is, so that nothing else has to be
remembered of it. Owns: columns. Leaves escaping and times to `copytext`, call sites to `sites`.
"""

from __future__ import annotations

from .copytext import NULL, Clock, escape, escape_json
from .decode import NOTHING, Record
from .sites import Site, level_text

LOG_COLUMNS = [
    "run_id",
    "ts",
    "pos",
    "seq",
    "writer_id",
    "levelno",
    "level",
    "logger",
    "message",
    "stage",
    "source",
    "pid",
    "thread",
    "file",
    "line",
    "func",
    "fields",
    "exception",
    "node",
    "ts_claimed",
    "flags",
]
EVENT_COLUMNS = ["run_id", "ts", "pos", "seq", "writer_id", "node", "event", "stage", "data"]
TRUNCATED, PARTIAL_LINE, REDACTED, AFTER_END = 1, 2, 4, 8
_NO_PLACE = "\t".join([NULL] * 4)  # thread, file, line, func
_MEMO_SIZE = 1024


def identity_of(line: bytes) -> tuple[str, int, str]:
    """Return (run, seq, writer) of a log's or an event's line."""
    run, _, _, seq, writer, _ = line.split(b"\t", 5)
    return run.decode(), int(seq), writer.decode()


def level_of(line: bytes) -> int:
    """Return the level's number of a log's line."""
    return int(line.split(b"\t", 6)[5])


class LogRows:
    """Makes log lines for one writer; keeps what is the same in most of its records.

    Args:
        writer: 32 hexadecimal digits.
        node: name of this node.
        pid: of the writing process, 0 when unknown.
        clock: shared by all writers of a batch.
    """

    def __init__(self, writer: str, node: str, pid: int, clock: Clock) -> None:
        self._writer = writer
        self._pid = str(pid) if 0 < pid < 2**31 else NULL
        self._node = escape(node)
        self._end = f"{self._node}\t{NULL}\t0\n"  # node, ts_claimed, flags of nearly every row
        self._clock = clock
        self._levels: dict[int, str] = {}
        self._moment = (-1, "")
        self._words: dict[str | None, str] = {None: NULL}

    def line(self, site: Site, record: Record, run: str, pos: int, seq: int) -> str:
        """Return one record as a COPY line. Raises DayMissing, PoisonRecord."""
        ns = record.t
        second = self._clock.believed.get(ns // 1_000_000_000)
        if second is not None and not record.tr:
            ts, end = f"{second}{ns // 1000 % 1_000_000:06d}+00", self._end
        else:
            ts, claimed = self._clock.text(ns)
            end = f"{self._node}\t{claimed}\t{TRUNCATED if record.tr else 0}\n"
        words = self._words
        return "\t".join(  # a third faster than one long f-string
            (
                run,
                ts,
                f"{pos}\t{seq}",
                self._writer,
                site.level,
                escape(record.m),
                words.get(record.s) or self._word(record.s),
                words.get(record.src) or self._word(record.src),
                self._pid,
                words.get(record.th) or self._word(record.th),
                site.place,
                NULL if record.x is NOTHING else escape_json(record.x),
                NULL if record.e is NOTHING else escape_json(record.e),
                end,
            )
        )

    def captured(
        self,
        run: str,
        ns: int,
        pos: int,
        seq: int,
        level: int,
        message: str,
        source: str,
        fields: str | None,
        flags: int,
        logger: str | None = None,
    ) -> str:
        """Return one captured line as a COPY line; *fields* is JSON text. Raises DayMissing."""
        if ns == self._moment[0]:  # lines that came together
            ts, claimed = self._moment[1], NULL
        else:
            ts, claimed = self._clock.text(ns)
            if claimed is NULL:
                self._moment = ns, ts
        return "\t".join(
            (
                run,
                ts,
                f"{pos}\t{seq}",
                self._writer,
                self._levels.get(level) or self._level(level),
                NULL if logger is None else escape(logger),
                escape(message),
                NULL,
                source,
                self._pid,
                _NO_PLACE,
                escape(fields),
                NULL,
                self._end if claimed is NULL and not flags else f"{self._node}\t{claimed}\t{flags}\n",
            )
        )

    def event(self, run: str, ns: int, pos: int, seq: int, name: str, stage: str | None, data: str) -> str:
        """Return an event as a COPY line; *data* is JSON text. Raises DayMissing."""
        ts = self._clock.text(ns)[0]
        return f"{run}\t{ts}\t{pos}\t{seq}\t{self._writer}\t{self._node}\t{escape(name)}\t{escape(stage)}\t{escape(data)}\n"

    def _level(self, number: int) -> str:
        text = self._levels[number] = level_text(number)
        return text

    def _word(self, word: str | None) -> str:
        text = escape(word)
        if len(self._words) >= _MEMO_SIZE:
            self._words = {None: NULL}
        if len(text) <= _MEMO_SIZE:
            self._words[word] = text
        return text
