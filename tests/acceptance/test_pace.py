"""How often the agent goes to its destinations: a trickle waits for the next pause, so that the machine of a pipeline is left alone."""

import time

import pytest
from test_destinations import RUN, Agent, logged, stored

from flightlog.agent import door
from flightlog.agent.shipper import PRESSING_ROWS, Shipped
from flightlog.journal.writer import Writer
from integration.shipping import fetch, log, spool_of, write
from waiting import wait_until


@pytest.fixture
def agent(home, dsn, tmp_path):
    one = Agent(home, dsn, tmp_path)
    yield one
    one.stop()


def test_a_trickle_is_shipped_in_few_batches_and_a_reader_ends_the_pause(agent, home, dsn):
    agent.config.write_text("spool: {keep: 0s}\nagent: {flush_interval: 2s}\n")
    agent.start()
    wait_until(lambda: "connected" in agent.log(), 20)
    writer = Writer(spool_of(home), lambda: {"run": RUN, "pipeline": "orders"})
    for number in range(300):
        assert writer.append(log(RUN, str(number)))
        moment = time.monotonic() + 0.01
        wait_until(lambda: time.monotonic() >= moment, 1)
    door.ring(home)
    wait_until(lambda: len(stored(dsn)) == 300, 20)
    writer.close()
    ((batches,),) = fetch(dsn, "SELECT count(DISTINCT xmin::text) FROM pipeline_logs")
    assert batches < 300 / 10, "each look has shipped what it found"


def test_text_logs_keep_a_pace_of_their_own(agent, home):
    agent.settings(False, True)
    agent.start()
    for number in range(5):  # one after the other, each behind a pause of half a second at most
        write(spool_of(home), RUN, [str(number)])
        wait_until(lambda: str(number) in logged(home), 20)
    assert logged(home) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("rows", "closed", "more", "cut", "presses"),
    [
        (0, 0, False, False, False),
        (1, 0, True, False, False),
        (PRESSING_ROWS - 1, 0, True, False, False),
        (PRESSING_ROWS, 0, True, False, True),
        (0, 0, True, False, True),  # something has to be there first: a run, a day, one more look
        (1, 1, True, False, True),
        (1, 0, True, True, True),
        (PRESSING_ROWS, 1, False, False, False),
    ],
)
def test_what_presses(rows, closed, more, cut, presses):
    assert Shipped(rows, closed, more, cut).presses is presses


def test_batches_that_are_full_follow_at_once(agent, home, dsn):
    """However small the settings make them: an hour of pauses would be needed here."""
    agent.config.write_text("spool: {keep: 0s}\nagent: {flush_interval: 60s, batch_rows: 5}\n")
    agent.start()
    wait_until(lambda: "connected" in agent.log(), 20)
    write(spool_of(home), RUN, [str(number) for number in range(300)])
    door.ring(home)
    wait_until(lambda: len(stored(dsn)) == 300, 40)


def test_an_agent_that_rests_for_long_ends_when_it_is_told(agent, home):
    """Also while the database is away, where it rests for up to half a minute."""
    agent.config.write_text("agent: {flush_interval: 60s}\n")
    agent.start()
    wait_until(lambda: "connected" in agent.log(), 20)
    write(spool_of(home), RUN, ["first"])
    door.ring(home)
    agent.stop()  # fails behind half a minute
