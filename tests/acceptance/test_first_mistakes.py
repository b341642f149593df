"""What people do who are new to the API, or come from logging's: nothing of it raises, and what is recorded stays true."""

import json
import os
import signal
import sys

import pytest
import running

import flightlog

SRC = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))


@pytest.fixture
def play(home):
    def run(code, *arguments, status=0):
        done = running.run(
            [sys.executable, "-c", code, *arguments], home, env=running.environment(home, PYTHONPATH=SRC)
        )
        assert done[0] == status, done
        return done[1].decode(), done[2].decode()

    return run


def logged(home):
    """(stage, message) of each record of the program."""
    return [
        (one.get("s", ""), one["m"]) for one in running.records(home) if one["k"] == "log" and one["lg"] != "flightlog"
    ]


def events(home, name):
    return [one for one in running.records(home) if one.get("ev") == name]


def test_an_exception_that_nobody_catches_belongs_to_the_run_that_it_ended(home, play):
    """And makes no further run of that name, which would have ended well and stand in front of it."""
    code = "import atexit, flightlog\natexit.register(lambda: flightlog.get_logger('x').info('last'))\n"
    play(code + "with flightlog.run('orders'):\n    raise ValueError('bad input')", status=1)
    (started,) = events(home, "run.started")
    (ended,) = events(home, "run.ended")
    assert started["x"]["kind"] == "attached" and ended["x"]["status"] == "failed"
    assert {one["m"]: one["r"] == started["r"] for one in running.records(home) if one["k"] == "log"} == {
        "ValueError: bad input": True,
        "last": True,
    }


def test_another_exception_than_the_one_that_ended_a_run_is_not_taken_for_it(home, play):
    code = """
import flightlog
try:
    with flightlog.run('orders'):
        raise ValueError('caught')
except ValueError:
    pass
raise ValueError('not caught')
"""
    play(code, status=1)
    kinds = {one["r"]: one["x"]["kind"] for one in events(home, "run.started")}
    (critical,) = [one for one in running.records(home) if one["k"] == "log"]
    assert kinds[critical["r"]] == "implicit"


def test_the_run_of_a_program_that_dies_of_an_exception_has_not_ended_well(home, play):
    play("import flightlog\nflightlog.init()\nflightlog.get_logger('x').info('begun')\nraise KeyError('k')", status=1)
    (ended,) = events(home, "run.ended")
    assert ended["x"]["status"] == "failed" and ended["x"]["error"]["type"] == "KeyError"


def test_a_total_that_is_no_number_counts_as_unknown(home, play):
    code = """
import flightlog
class Hostile:
    def __index__(self): raise RuntimeError
    __float__ = __bool__ = __index__
rows = [{'id': i, 'name': 'password=hunter2hunter2'} for i in range(3000)]
with flightlog.run('orders', resume=True) as run:
    for number, total in enumerate((rows, 'password=hunter2hunter2', float('nan'), 1 << 80, Hostile(), 3)):
        with run.stage('s%d' % number, total=total) as stage:
            for row in stage.track(rows, key=lambda row: row['id']): pass
            stage.advance(float('inf')); stage.advance(1j); stage.progress(Hostile()); stage.rows(Hostile(), 'x'); run.rows(Hostile())
            assert stage.done == 3000, stage.done
"""
    play(code)
    assert [one["x"]["total"] for one in events(home, "stage.ended")] == [3000, 3000, 3000, 3000, 3000, 3]
    assert all(len(json.dumps(one)) < 100_000 for one in running.records(home))
    assert "hunter2" not in json.dumps(running.records(home))


def test_loggers_are_called_as_those_of_logging(home, play):
    code = """
import flightlog
log = flightlog.get_logger('x')
log.info('loaded %s of %d', 'a', 3)
log.warn('%(what)s is old', {'what': 'it'})
log.error('done: 50%', 7)
log.info('named', message='a field', self='another', level=1, name='n')
log.log(30, 'at %s', 30); log.log('30', 'odd')
log.info(); log.fatal('f', x=1); log.debug({'not': 'text'})
assert log.isEnabledFor(20)
try: {}['k']
except KeyError: log.exception('failed %s', 'here')
"""
    play(code)
    assert [message for _, message in logged(home)] == [
        *[
            "loaded a of 3",
            "it is old",
            "done: 50% (7,)",
            "named",
            "at 30",
            "odd",
            "",
            "f",
            "{'not': 'text'}",
            "failed here",
        ]
    ]
    (named,) = [one for one in running.records(home) if one.get("m") == "named"]
    assert named["x"] == {"message": "a field", "self": "another", "level": 1, "name": "n"}


def test_generators_that_take_turns_leave_nobody_in_a_stage_that_has_ended(home, play):
    code = """
import flightlog
log = flightlog.get_logger('x')
def part(name):
    with flightlog.stage(name):
        yield 1; yield 2
with flightlog.run('orders') as run:
    with run.stage('outer'):
        for a, b in zip(part('A'), part('B')): pass
        del a, b
        log.info('behind')
        with flightlog.stage('C'): log.info('in C')
        one, two = flightlog.stage('D'), flightlog.stage('E')
        one.__enter__(); two.__enter__(); one.__exit__(None, None, None); two.__exit__(None, None, None)
        log.info('behind both')
    log.info('outside')
"""
    play(code)
    assert logged(home) == [("outer", "behind"), ("outer/C", "in C"), ("outer", "behind both"), ("", "outside")]


def test_a_task_that_outlives_its_run_stays_in_it(home, play):
    code = """
import asyncio, flightlog
log = flightlog.get_logger('x')
async def late(go):
    await go.wait()
    with flightlog.stage('inner'): log.info('in')
    log.info('behind')
async def main():
    go = asyncio.Event()
    with flightlog.run('orders') as run:
        with run.stage('outer'):
            task = asyncio.create_task(late(go))
            await asyncio.sleep(0)
    go.set()
    await task
asyncio.run(main())
"""
    play(code)
    assert logged(home) == [("outer/inner", "in"), ("outer", "behind")]
    attached = [one["r"] for one in events(home, "run.started") if one["x"]["kind"] == "attached"]
    assert {one["r"] for one in running.records(home) if one["k"] == "log"} == set(attached)


SLOW = """
import flightlog, os, sys
with flightlog.run('orders', resume=True) as run:
    with run.stage('load') as stage:
        for item in stage.track(range(12), key=str, every='10'):
            print(item, flush=True)
            if run.attempt == 1 and item == 10:
                os.kill(os.getpid(), 9)
            if item < 10 and run.attempt == 1:
                end = __import__('time').monotonic() + 0.06
                while __import__('time').monotonic() < end: pass
        if run.attempt == 2:
            os.kill(os.getpid(), 9)
"""


def test_what_is_finished_is_written_before_a_long_item_and_when_there_are_no_more(play):
    killed = -signal.SIGKILL
    assert play(SLOW, status=killed)[0].split() == [str(item) for item in range(11)]
    assert play(SLOW, status=killed)[0].split() == ["10", "11"]
    assert play(SLOW)[0].split() == []


def test_a_stage_on_a_property(play):
    code = """
import flightlog
class Job:
    @flightlog.stage
    @property
    def size(self): return 5
assert Job().size == 5
"""
    play(code)


def test_a_run_that_is_entered_twice_says_so(home, play):
    code = "import flightlog\none = flightlog.run('orders')\nwith one:\n    with one: pass\nwith flightlog.run(None), flightlog.run(3): pass"
    play(code)
    assert any("entered a second time" in one.get("m", "") for one in running.records(home))
