"""The simulated store against the real one: the same calls bring the same answers, refusals and positions.

Random orders of what two agents may do with a sink, also what no agent of ours does: old epochs, positions that moved, batches that do not add up.
"""

import random

import pytest
from campaign import SEED, rounds

from flightlog import identity
from flightlog.agent.copytext import Clock
from flightlog.agent.facts import RunFacts
from flightlog.agent.rows import LogRows
from flightlog.agent.sink import DeadLetter, Position
from flightlog.agent.sites import Sites
from flightlog.agent.step import Step
from flightlog.errors import SinkError
from flightlog.store.ingest import PostgresSink
from integration.shipping import fetch, log
from simulation.database import Database, FakeSink
from simulation.kernel import Kernel

NODE = "agrees"


class Pair:
    """One agent's sinks, real and simulated."""

    def __init__(self, dsn, database):
        self.sinks = (PostgresSink(dsn), FakeSink(database))
        self.batches = None

    def both(self, action):
        """Do *action* with each; return what came of it: the value, or the name of the error."""
        outcomes = []
        for item in self.batches or self.sinks:
            try:
                outcomes.append(action(item))
            except SinkError as problem:
                outcomes.append(type(problem).__name__)
        return outcomes

    def abort(self):
        for batch in self.batches or ():
            batch.abort()
        self.batches = None


def lines_of(writer, run, clock, texts, seq, pos):
    rows, sites = LogRows(writer, NODE, 1, clock), Sites()
    lines = []
    for number, text in enumerate(texts):
        payload = log(run, text)
        if text.startswith("poison"):
            payload = payload.replace(b'{"k"', b'{"x":{"a":1e400000},"k"')
        lines.append(rows.line(*sites.read(payload), run, pos + number, seq + number))
    return "".join(lines).encode()


def play(choose, dsn, database):
    writers = [identity.new_writer_id() for _ in range(3)]
    runs = {writer: identity.new_ulid() for writer in writers}
    pairs = [Pair(dsn, database), Pair(dsn, database)]
    clock = Clock(set())
    for pair in pairs:
        real, fake = pair.both(lambda sink: sink.open(NODE, 1))
        assert real == fake
    for _ in range(12):
        pair = choose.choice(pairs)
        what = choose.randrange(8)
        if what == 0:
            real, fake = pair.both(lambda sink: sink.open(NODE, 1))
            assert real == fake, "epoch"
            continue
        if what == 1:
            real, fake = pair.both(lambda sink: sink.beat({}))
            assert real == fake, "beat"
            continue
        answers = pair.both(lambda sink: sink.positions(writers))
        if isinstance(answers[0], str):
            assert answers[0] == answers[1], "positions"
            continue
        real, fake = ({writer: tuple(position) for writer, position in answer.items()} for answer in answers)
        assert real == fake, "positions"
        days = pair.both(lambda sink: sink.prepare([clock.now_ns // 86_400_000_000_000]))
        assert isinstance(days[0], set) and isinstance(days[1], set)
        clock.days |= days[0]
        real_pos, fake_pos = pair.both(lambda sink: sink.run_positions(list(runs.values())))
        assert real_pos == fake_pos
        pair.batches = [sink.begin() for sink in pair.sinks]
        try:
            commit(choose, pair, writers, runs, real, real_pos, clock)
        finally:
            pair.abort()
    return pairs[0], writers


def commit(choose, pair, writers, runs, known, positions, clock):
    writer = choose.choice(writers)
    position = Position(*known.get(writer, Position()))
    run = runs[writer]
    pos = positions.get(run, 1)
    count = choose.randrange(0, 4)
    texts = [choose.choice(["fine", "fine", "fine", "poison"]) for _ in range(count)]
    good = [text for text in texts if text == "fine"]
    step = Step(writer, position._replace(seq=position.seq + choose.choice([0, 0, 0, 0, 1])))
    step.segno, step.offset = position.segno + choose.choice([0, 1]), position.offset + choose.choice([0, 50])
    step.n, step.gap, step.torn = position.n + count, choose.choice([0, 0, 3]), choose.choice([0, 5])
    step.closed = choose.random() < 0.1
    refused = [text for text in texts if text != "fine"]
    data = lines_of(writer, run, clock, texts, step.seq, pos)
    outcomes = []
    if data:
        outcomes.append(pair.both(lambda batch: batch.write_logs(data)))
        outcomes.append(pair.both(lambda batch: batch.end_logs()))
        if outcomes[-1][0] == "PoisonRecord":
            outcomes.append(pair.both(lambda batch: batch.forget_rows()))
            for number, text in enumerate(texts):
                one = lines_of(writer, run, clock, [text], step.seq + number, pos + number)
                outcomes.append(pair.both(lambda batch, one=one: batch.try_rows(one, b"")))
    letters = [
        DeadLetter(writer, step.seq + number, run, b"#1#", "22003", "refused")
        for number, text in enumerate(texts)
        if text != "fine"
    ]
    if letters:
        outcomes.append(pair.both(lambda batch: batch.dead_letters(letters)))
    step.logs, step.dead = len(good), len(refused)
    step.seq += count + choose.choice([0, 0, 0, 0, 0, 1])
    facts = RunFacts(run, pos, "agrees")
    facts.pos += count
    outcomes.append(pair.both(lambda batch: batch.apply_runs([facts.row(NODE, clock.now_ns)])))
    advance = step.advance("journal", run, {"pid": 1, "header": {}}, "2026-11-23T16:40:00+00:00")
    advance["closed"] = step.closed
    run_advance = {"run": run, "pos": pos + choose.choice([0, 0, 0, 0, 0, 2]), "to_pos": facts.pos, "writers": [writer]}
    for real, fake in outcomes:
        assert real == fake, (outcomes, texts)
        if isinstance(real, str) and real != "PoisonRecord":
            return
    real, fake = pair.both(lambda batch: batch.advance([advance], [run_advance]))
    assert real == fake, ("advance", advance, run_advance)
    if real is not None:
        return
    real, fake = pair.both(lambda batch: batch.commit())
    assert real == fake, "commit"


@pytest.mark.parametrize("number", range(rounds(3, 10)))
def test_the_same_calls_bring_the_same_answers(dsn, number):
    choose = random.Random(SEED + number)
    kernel = Kernel(SEED + number)
    kernel.wall_ns = Clock(set()).now_ns
    database = Database(kernel)
    pair, writers = play(choose, dsn, database)
    pair.both(lambda sink: sink.open(NODE, 1))
    real, fake = pair.both(lambda sink: {w: tuple(p) for w, p in sink.positions(writers).items()})
    assert real == fake, f"seed {SEED + number}"
    stored = fetch(
        dsn, "SELECT replace(writer_id::text, '-', ''), stored, dead, corrupt, torn, gap FROM pipeline_writers"
    )
    assert {row[0]: row[1:] for row in stored} == {
        writer: tuple(row[name] for name in ("stored", "dead", "corrupt", "torn", "gap"))
        for writer, row in database.state.writers.items()
    }, f"seed {SEED + number}"
    rows = fetch(dsn, "SELECT replace(writer_id::text, '-', ''), seq, pos FROM pipeline_logs")
    assert sorted(rows) == sorted((row[3], row[2], row[4]) for row in database.state.rows), f"seed {SEED + number}"
    ledger = fetch(
        dsn,
        "SELECT replace(writer_id::text, '-', ''), from_segno, from_offset, from_seq, to_segno, to_offset, to_seq FROM pipeline_ship_ledger",
    )
    assert sorted(ledger) == sorted((w, *begin, *end) for (w, _), (begin, end) in database.state.ledger.items())
    for one in pair.sinks:
        one.close()
