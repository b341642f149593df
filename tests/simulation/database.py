"""The store in memory, with what matters of PostgreSQL's behaviour: transactions, refused rows, checks that raise, sessions that break.

Written after migrations 0003 and 0008 and `store.ingest`; test_database_agrees.py holds it against the real one. Not a store to test the product
with otherwise (ADR 0005). `Database` is the server's side and may die, come back, be restored; `FakeSink` is one agent's connection.
"""

import copy
import itertools
import re
import uuid

from flightlog.agent.sink import Position
from flightlog.errors import CommitUnknown, Fenced, PoisonRecord, PositionConflict, SinkUnavailable

from .disk import ID

DAY_NS = 86_400_000_000_000
POISON = b"1e400000"


class State:
    """Everything committed. Values are never changed in place, so a shallow copy is a snapshot."""

    def __init__(self, store_id):
        self.store_id = store_id
        self.rows = ()  # (kind, run, seq, writer, pos, record id or None, text)
        self.letters = {}  # (writer, seq) -> raw
        self.writers, self.ledger, self.run_positions, self.run_writers = {}, {}, {}, frozenset()
        self.runs, self.agents = {}, {}
        self.days = frozenset()

    def copy(self):
        other = copy.copy(self)
        for name in ("letters", "writers", "ledger", "run_positions", "runs", "agents"):
            setattr(other, name, dict(getattr(self, name)))
        return other


class Database:
    """The server."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.state = State(self._new_id())
        self.up = True
        self.sessions = []
        self.past = []  # states before each commit
        self.holders = {}  # node -> the session that took it last
        self.terminates = True  # whether the old agent's backend can be ended
        self.commits = 0
        self.plan = None  # (calls to go or a call's name, "before", "after" or "late"): a network cut
        self.late = None  # a COMMIT that the server has received and not worked on yet
        self.generation = 0  # counts losses of memory

    def _new_id(self):
        return str(uuid.UUID(int=self.kernel.choose.getrandbits(128)))

    def _break(self, session):
        session.broken = True
        if session in self.sessions:
            self.sessions.remove(session)

    def stop(self, lost_commits=0):
        """End like a crash; the last commits are lost when they were asynchronous."""
        self.finish_late()
        self.up = False
        for session in [*self.sessions]:
            self._break(session)
        for _ in range(min(lost_commits, len(self.past))):
            self.state = self.past.pop()
            self.generation += 1

    def start(self):
        self.up = True

    def restore(self, index):
        """Be what it was some commits ago: a restored backup."""
        if self.past:
            self.stop()
            index %= len(self.past)
            self.state = self.past[index]
            del self.past[index:]
            self.generation += 1
            self.start()

    def renew(self):
        """Be a new, empty database that answers under the same name."""
        self.stop()
        self.state = State(self._new_id())
        self.past.clear()
        self.generation += 1
        self.start()

    def commit(self, batch):
        self.past.append(self.state)
        state = self.state.copy()
        batch.apply(state)
        self.state = state
        self.commits += 1

    def finish_late(self):
        """Work on a COMMIT that was received: it counts if its session still stands."""
        batch, self.late = self.late, None
        if batch is not None and batch.session in self.sessions:
            self.commit(batch)
            self._break(batch.session)

    def today(self):
        return self.kernel.wall_ns // DAY_NS

    def locked(self, writers, but):
        return any(session is not but and session.locks & writers for session in self.sessions)


class Session:
    numbers = itertools.count(1)

    def __init__(self):
        self.number = next(self.numbers)
        self.broken = False
        self.locks = set()
        self.batch = None


class FakeSink:
    """What an agent has in its hands; see `agent.sink.Sink`."""

    place = "simulated"

    def __init__(self, database, durable=True):
        self.database = database
        self.session = None
        self.node, self.epoch, self.store_id = "", 0, ""

    def _reach(self, name, session=None):
        """Get to the server and back; either way may fail. Returns whether the answer will be lost."""
        database = self.database
        database.kernel.call("db " + name)
        session = session or self.session
        if not database.up or session is None or session.broken:
            raise SinkUnavailable("the connection is gone")
        if database.plan is not None:
            left, when = database.plan
            if isinstance(left, str):
                if left != name:
                    return False
            elif left > 0:
                database.plan = (left - 1, when)
                return False
            database.plan = None
            if when == "before":
                self._cut(session)
                raise SinkUnavailable("cut before " + name)
            return when
        return False

    def _cut(self, session):
        """The server hears of it at once, or only when it is told to end the session."""
        if self.database.kernel.choose.random() < 0.5:
            self.database._break(session)
        session.broken = True

    def _lose(self, lost, session, name):
        if lost:
            self._cut(session)
            raise SinkUnavailable("the answer was lost: " + name)

    def open(self, node, pid, session=0):
        self.close()
        database = self.database
        database.kernel.call("db connect")
        if not database.up:
            raise SinkUnavailable("nobody listens")
        self.session = Session()
        self.session.node = node
        database.sessions.append(self.session)
        self.node = node
        lost = self._reach("open")
        holder = database.holders.get(node)
        if session and holder in database.sessions and holder.number != session:
            database.sessions.remove(self.session)
            raise Fenced("a newer agent ships")
        for other in [*database.sessions]:
            if other is not self.session and getattr(other, "node", None) == node and database.terminates:
                database._break(other)
        state = database.state.copy()
        state.agents[node] = self.epoch = state.agents.get(node, 0) + 1
        database.state = state
        self.store_id = state.store_id
        database.holders[node] = self.session
        self.backend = self.session.number
        self._lose(lost, self.session, "open")
        return self.epoch

    def positions(self, writers):
        lost = self._reach("positions")
        known = self.database.state.writers
        self._lose(lost, self.session, "positions")
        return {writer: known[writer]["at"] for writer in writers if writer in known}

    def owners(self, writers):
        return {}

    def run_positions(self, runs):
        lost = self._reach("run positions")
        self._lose(lost, self.session, "run positions")
        known = self.database.state.run_positions
        return {run: known[run, self.node] for run in runs if (run, self.node) in known}

    def prepare(self, days):
        lost = self._reach("prepare")
        state = self.database.state.copy()
        today = self.database.today()
        state.days = state.days | set(days) | {today, today + 1}
        self.database.state = state
        self._lose(lost, self.session, "prepare")
        return set(state.days)

    def begin(self):
        lost = self._reach("begin")
        self._lose(lost, self.session, "begin")
        self.session.batch = FakeBatch(self, self.session)
        return self.session.batch

    def lost(self, known):
        lost = self._reach("lost")
        state = self.database.state.copy()
        open_runs = {run for run, writer in state.run_writers if not state.writers[writer]["at"].closed}
        named = {run for run, _ in state.run_writers}
        ended = [
            run
            for run, row in state.runs.items()
            if row["state"] == "running" and run not in known and run in named and run not in open_runs
        ]
        for run in ended:
            state.runs[run] = dict(state.runs[run], state="lost")
        self.database.state = state
        self._lose(lost, self.session, "lost")
        return ended

    def self_check(self, since, after, limit, rows):
        self._reach("self_check")
        return []

    def beat(self, status):
        lost = self._reach("beat")
        if self.database.state.agents.get(self.node) != self.epoch:
            raise Fenced("a newer agent ships")
        self._lose(lost, self.session, "beat")

    def close(self):
        if self.session is not None:
            self.database._break(self.session)
            self.session = None


class FakeBatch:
    """One transaction; see `agent.sink.Batch`. Nothing is in the store before `commit`."""

    def __init__(self, sink, session):
        self.sink, self.session, self.database = sink, session, sink.database
        self._copy, self._rows, self._letters, self._runs = b"", [], {}, []
        self._advances, self._run_advances = [], []

    def _reach(self, name):
        lost = self.sink._reach(name, self.session)
        self.sink._lose(lost, self.session, name)

    def write_logs(self, rows):
        self._reach("copy")
        self._copy += rows

    def end_logs(self):
        if self._copy:
            self._reach("copy end")
            rows, self._copy = self._copy, b""
            self._rows += self._parse("log", rows)

    def write_events(self, rows):
        if rows:
            self._reach("copy events")
            self._rows += self._parse("event", rows)

    def write_metrics(self, rows):
        self._reach("copy metrics")

    def _parse(self, kind, data):
        made = []
        for line in data.split(b"\n")[:-1]:
            fields = line.split(b"\t")
            assert len(fields) == (21 if kind == "log" else 9), line
            run, ts, pos, seq, writer = fields[:5]
            if POISON in line:
                raise PoisonRecord("out of range", "", "22003")
            if not re.match(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", ts) or self._day(ts) not in self.database.state.days:
                raise PoisonRecord("no partition", "", "23514")
            found = ID.search(line)
            text = fields[8]
            made.append(
                (kind, run.decode(), int(seq), writer.decode(), int(pos), int(found.group(1)) if found else None, text)
            )
        return made

    @staticmethod
    def _day(ts):
        import datetime

        return (datetime.date.fromisoformat(ts[:10].decode()) - datetime.date(1970, 1, 1)).days

    def forget_rows(self):
        self._reach("rollback to savepoint")
        self._rows, self._copy = [], b""

    def try_rows(self, logs, events):
        self._reach("savepoint")
        made = self._parse("log", logs) + self._parse("event", events)
        self._rows += made

    def dead_letters(self, letters):
        self._reach("dead letters")
        for letter in letters:
            if (letter.writer, letter.seq) in self.database.state.letters:
                raise PositionConflict("a dead letter is there already", "", "FL002")
            self._letters[letter.writer, letter.seq] = letter.raw

    def apply_runs(self, runs):
        self._reach("runs")
        self._runs = list(runs)

    def advance(self, writers, runs):
        self._reach("advance")
        state = self.database.state
        ours = {step["writer"] for step in writers}
        if state.agents.get(self.sink.node) != self.sink.epoch:
            raise Fenced("a newer agent ships", "", "FL001")
        for step in writers:
            if step["to_seq"] != step["seq"] + step["logs"] + step["events"] + step["dead"]:
                raise PositionConflict("a batch does not add up", "", "FL002")
        if self.database.locked(ours, self.session):
            raise SinkUnavailable("lock timeout", "", "55P03")
        for step in writers:
            known = state.writers.get(step["writer"])
            at = known["at"][:3] if known else (0, 0, 1)
            if at != (step["segno"], step["offset"], step["seq"]):
                raise PositionConflict("a writer is not where the agent left it", "", "FL002")
        for advance in runs:
            if state.run_positions.get((advance["run"], self.sink.node), 1) != advance["pos"]:
                raise PositionConflict("a run has moved", "", "FL002")
        self.session.locks |= ours
        self._advances, self._run_advances = list(writers), list(runs)

    def commit(self):
        database = self.database
        try:
            lost = self.sink._reach("commit", self.session)
        except SinkUnavailable as problem:
            raise CommitUnknown(problem.message) from problem
        if lost == "late":
            database.late = self
            self.session.late = True
            raise CommitUnknown("no answer yet")
        database.commit(self)
        self.session.locks.clear()
        if lost:
            self.sink._cut(self.session)
            raise CommitUnknown("the answer to COMMIT was lost")

    def apply(self, state):
        for step in self._advances:
            known = state.writers.get(step["writer"])
            row = (
                dict(known)
                if known
                else {"stored": 0, "dead": 0, "corrupt": 0, "torn": 0, "gap": 0, "run": step["run"]}
            )
            dropped = max(step["dropped"], known["at"].dropped if known else 0)
            row["at"] = Position(
                step["to_segno"],
                step["to_offset"],
                step["to_seq"],
                max(step["n"], known["at"].n if known else 0),
                dropped,
                step["closed"],
            )
            row["stored"] += step["logs"] + step["events"]
            for name in ("dead", "corrupt", "torn"):
                row[name] += step[name]
            row["gap"] += step.get("gap", 0)
            state.writers[step["writer"]] = row
            days = [day for writer, day in state.ledger if writer == step["writer"]]
            day = max([*days, self.database.today()])
            old = state.ledger.get((step["writer"], day))
            start, end = (
                (step["segno"], step["offset"], step["seq"]),
                (step["to_segno"], step["to_offset"], step["to_seq"]),
            )
            assert old is None or old[1] == start
            state.ledger[step["writer"], day] = (old[0] if old else start, end)
        for advance in self._run_advances:
            state.run_positions[advance["run"], self.sink.node] = advance["to_pos"]
            state.run_writers = state.run_writers | {(advance["run"], writer) for writer in advance["writers"]}
        for row in self._runs:
            old = state.runs.get(row["run"], {"lines": 0, "state": "running", "pipeline": row["pipeline"]})
            state.runs[row["run"]] = dict(
                old, lines=old["lines"] + row["lines"], state=row.get("state") if row.get("state") else old["state"]
            )
        state.rows = state.rows + tuple(self._rows)
        state.letters.update(self._letters)

    def abort(self):
        self.session.locks.clear()
        if not self.session.broken and getattr(self.session, "late", False) is False:
            self.session.batch = None
