"""Following: nothing is left out, nothing comes twice, and it ends."""

import random
import threading

import pytest

from flightlog import identity
from flightlog.query import live
from flightlog.query.live import Follow
from flightlog.query.logs import Filter
from flightlog.store.db import connect
from integration.shipping import log
from unit.query.recorded import SECOND, Recorded, ago, event
from waiting import wait_until


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def connection(dsn):
    with connect(dsn, "test") as one:
        yield one


def said(lines):
    return [line.message for line in lines]


class Growing:
    """A run that goes on: each `say` is shipped, its writer lives."""

    def __init__(self, recorded, pipeline="orders", at=None):
        self.recorded, self.pipeline = recorded, pipeline
        self.run = identity.new_ulid(at)
        started = event(self.run, "run.started", at or ago(seconds=30), {"pipeline": pipeline, "kind": "attached"})
        self.writer = recorded.write(self.run, [started], pipeline)
        self.n = 1
        recorded.ship(look_alive=False)

    def say(self, *messages, **more):
        self._write([log(self.run, message, **more) for message in messages])

    def end(self, close=True, status="ok"):
        self._write([event(self.run, "run.ended", ago(), {"status": status, "exit_code": 0})], close)

    def _write(self, payloads, close=False):
        self.recorded.write(self.run, payloads, self.pipeline, self.writer, self.n + 1)
        self.n += len(payloads)
        self.recorded.ship(look_alive=close)


def test_tail_then_what_comes_then_the_end(connection, recorded):
    run = Growing(recorded)
    run.say("a", "b", "c")
    follow = Follow(connection, Filter(runs=[run.run]), [])
    assert said(follow.tail(2)) == ["b", "c"]
    assert (follow.more(), follow.over) == ([], False)
    run.say("d", "e")
    assert said(follow.more()) == ["d", "e"]
    assert (follow.more(), follow.over) == ([], False)
    run.say("last")
    run.end()
    assert said(follow.more()) == ["last"]
    assert follow.over
    assert follow.more() == []


def test_a_finished_run_shows_its_tail_and_is_over(connection, recorded):
    run = recorded.run(messages=["a", "b"], at=ago(minutes=1))
    follow = Follow(connection, Filter(runs=[run]), ["orders"])
    assert said(follow.tail(None)) == ["a", "b"]
    assert follow.more() == []
    assert follow.over


def test_writers_that_outlive_their_run_are_waited_for_a_while(connection, recorded, monkeypatch):
    run = Growing(recorded)
    follow = Follow(connection, Filter(runs=[run.run]), [])
    list(follow.tail(9))
    run.end(close=False)
    assert (follow.more(), follow.over) == ([], False)
    run.say("a daemon's line")
    assert said(follow.more()) == ["a daemon's line"]
    assert not follow.over
    monkeypatch.setattr(live, "QUIET_SECONDS", 0.0)
    assert follow.over


def test_filters_hold_while_following(connection, recorded):
    run = Growing(recorded)
    follow = Follow(connection, Filter(runs=[run.run], low=30, grep="x", node="testnode"), [])
    list(follow.tail(9))
    run.say("x info")
    run.say("x warn", "y warn", lv=30)
    assert said(follow.more()) == ["x warn"]
    assert follow.more() == []
    elsewhere = Follow(connection, Filter(runs=[run.run], node="n9"), [])
    assert (list(elsewhere.tail(9)), elsewhere.more()) == ([], [])


def test_later_runs_of_a_followed_pipeline_are_picked_up(connection, recorded):
    first = Growing(recorded, at=ago(hours=5))
    Growing(recorded, "other")
    follow = Follow(connection, Filter(runs=[first.run]), ["orders"])
    list(follow.tail(9))
    second = Growing(recorded)
    second.say("b")
    Growing(recorded, "other").say("not mine")
    first.say("a")
    assert sorted(said(follow.more())) == ["a", "b"]
    first.end(close=False)
    assert (follow.more(), follow.over) == ([], False)
    third = Growing(recorded)
    third.say("c")
    third.end(close=False)
    assert (said(follow.more()), follow.over) == (["c"], False)
    second.end()
    assert (follow.more(), follow.over) == ([], True)


def test_without_runs_everything_that_goes_on_is_followed(connection, recorded):
    recorded.run(messages=["over"], at=ago(days=2))
    old = Growing(recorded, at=ago(days=3))
    follow = Follow(connection, Filter(), [])
    assert said(follow.tail(9)) == ["over"]
    old.say("old")
    assert said(follow.more()) == ["old"]
    recorded.run("short", messages=["short-lived"], close=False)
    old.say("more")
    old.end()  # its last lines and its end come in one look
    assert sorted(said(follow.more())) == ["more", "short-lived"]
    assert follow.more() == []
    assert not follow.over


def test_a_look_returns_a_bounded_number_of_lines(connection, recorded, monkeypatch):
    monkeypatch.setattr(live, "LOOK_LINES", 10)
    run = Growing(recorded)
    follow = Follow(connection, Filter(runs=[run.run]), [])
    list(follow.tail(9))
    run.say(*[str(n) for n in range(25)])
    run.end()
    looks = []
    while not follow.over:
        looks.append(said(follow.more()))
    assert [len(look) for look in looks] == [10, 10, 5]
    assert [text for look in looks for text in look] == [str(n) for n in range(25)]


def test_nothing_new_is_one_query(connection, recorded, monkeypatch):
    run = Growing(recorded)
    run.say("a")
    follow = Follow(connection, Filter(runs=[run.run]), ["orders"])
    list(follow.tail(9))
    asked = []
    original = live.ask
    monkeypatch.setattr(live, "ask", lambda *args, **values: asked.append(args[2]) or original(*args, **values))
    assert (follow.more(), follow.over) == ([], False)
    assert asked == ["heads"]
    run.say("b")
    assert said(follow.more()) == ["b"]
    assert asked == ["heads", "heads", "behind"]


@pytest.mark.parametrize("by_time", ["shuffled clocks", "clocks in order"])
def test_every_line_once_while_two_nodes_ship(dsn, home, connection, by_time):
    """Lines are shipped by two agents, in batches, their times in any order; the follower begins in the middle."""
    run = identity.new_ulid(ago(minutes=1))
    base = ago(minutes=1)
    choose = random.Random(by_time)
    wanted = {f"{node}-{n}" for node in ("n1", "n2") for n in range(600)}
    started = threading.Event()

    def ship(node):
        mine = Recorded(dsn, home, node=node)
        writer, n = None, 0
        while n < 600:
            size = min(choose.randint(1, 40), 600 - n)
            times = [
                base + (choose.randint(0, 10) if by_time.startswith("s") else n + i) * SECOND // 100
                for i in range(size)
            ]
            payloads = [log(run, f"{node}-{n + i}", times[i]) for i in range(size)]
            writer = mine.write(run, payloads, writer=writer, first_n=n + 1)
            mine.ship(look_alive=n + size == 600)
            n += size
            if n > 200:
                started.set()

    threads = [threading.Thread(target=ship, args=(node,)) for node in ("n1", "n2")]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    follow = Follow(connection, Filter(runs=[run]), [])
    found = said(follow.tail(None))
    assert 200 <= len(found) < 1200 or not any(thread.is_alive() for thread in threads)
    wait_until(lambda: found.extend(said(follow.more())) or len(found) >= 1200, 30, "all lines")
    for thread in threads:
        thread.join()
    found += said(follow.more())
    assert len(found) == 1200
    assert set(found) == wanted
