"""Delivery, simulated: any order of writing, killing, shipping, losing and restoring leaves every accepted record stored once or declared.

`make test` plays a short slice, `make faults` a long one (FLIGHTLOG_FAULT_ROUNDS). A failure prints its history; FLIGHTLOG_FAULT_SEED repeats the
search, and the history becomes a case of test_regressions.py.
"""

import pprint

import pytest
from campaign import SEED, rounds
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from flightlog.agent.faults import POINTS
from simulation.actions import do
from simulation.world import World

which = st.integers(0, 4)
kinds = st.integers(0, 6)
few = st.integers(0, 40)
seconds = st.sampled_from([0.2, 1.5, 12.0, 45.0])
spare = st.sampled_from([True, True, True, False])
TOTALS = {"examples": 0, "steps": 0}
BY_RULE = {}


def told(name, **strategies):
    """A rule that does the action *name* with arguments of these kinds."""

    def body(self, **arguments):
        self.do(name, arguments)

    body.__name__ = name
    return rule(**strategies)(body)


quick = st.one_of(
    st.tuples(
        st.just("append"),
        st.fixed_dictionaries({"program": which, "kind": kinds, "count": st.integers(1, 6), "size": st.just(150)}),
    ),
    st.tuples(st.just("rotate"), st.fixed_dictionaries({"program": which})),
    st.tuples(
        st.just("fork"), st.fixed_dictionaries({"program": which, "hooked": st.booleans(), "count": st.integers(1, 3)})
    ),
    st.tuples(st.just("kill_program"), st.fixed_dictionaries({"program": which})),
    st.tuples(
        st.just("kill_in_append"),
        st.fixed_dictionaries({"program": which, "calls": few, "part": st.integers(0, 8), "kind": kinds}),
    ),
    st.tuples(
        st.just("captured"),
        st.fixed_dictionaries(
            {"capture": which, "count": st.integers(1, 6), "size": st.just(90), "last": st.booleans()}
        ),
    ),
    st.tuples(st.just("second_agent"), st.just({})),
    st.tuples(st.just("database_kill"), st.just({"lost_commits": 0})),
    st.tuples(
        st.just("net_cut"),
        st.fixed_dictionaries({"calls": st.integers(0, 12), "when": st.sampled_from(["before", "after", "late"])}),
    ),
    st.tuples(st.just("clock_jump"), st.fixed_dictionaries({"seconds": st.sampled_from([-90000.0, -5.0, 90000.0])})),
    st.tuples(st.just("flip_bit"), st.fixed_dictionaries({"which": which, "bit": st.integers(0, 10**6)})),
)
inner = quick.map(list)
maybe_inner = st.one_of(st.none(), inner)


class Delivery(RuleBasedStateMachine):
    """One history."""

    world = None

    @initialize(
        number=st.integers(0, 1 << 30),
        batch_rows=st.sampled_from([2, 5, 40]),
        rotate=st.sampled_from([500, 1500, 9000]),
    )
    def begin(self, number, batch_rows, rotate):
        self.history = []
        self.begun = (number, batch_rows, rotate)
        self.world = World(number, batch_rows, rotate).__enter__()
        TOTALS["examples"] += 1

    def do(self, name, arguments):
        TOTALS["steps"] += 1
        BY_RULE[name] = BY_RULE.get(name, 0) + 1
        self.history.append([name, arguments])
        with self._telling():
            do(self.world, name, arguments)

    def teardown(self):
        if self.world is not None:
            try:
                with self._telling():
                    self.world.heal()
                    self.world.model.check_end()
            finally:
                self.world.__exit__(None, None, None)
                self.world = None  # hypothesis keeps its machines

    def _telling(self):
        return Telling(self)

    start_program = told("start_program")
    append = told("append", program=which, kind=kinds, count=st.integers(1, 8), size=st.sampled_from([10, 60, 300]))
    more = told("append", program=which, kind=kinds, count=st.integers(1, 8), size=st.sampled_from([10, 60, 300]))
    append_threads = told(
        "append_threads",
        program=which,
        threads=st.integers(2, 4),
        each=st.integers(1, 5),
        schedule=st.lists(st.integers(0, 3), max_size=30),
    )
    rotate = told("rotate", program=which)
    drop = told("drop", program=which)
    close_writer = told("close_writer", program=which)
    fork = told("fork", program=which, hooked=st.booleans(), count=st.integers(0, 3))
    kill_program = told("kill_program", program=which)
    kill_in_append = told("kill_in_append", program=which, calls=few, part=st.integers(0, 8), kind=kinds)
    interrupt_append = told("interrupt_append", program=which, calls=few, inner=inner)
    reuse_pid = told("reuse_pid", which=which)
    captured = told(
        "captured", capture=which, count=st.integers(1, 8), size=st.sampled_from([10, 200]), last=st.booleans()
    )
    kill_capture = told("kill_capture", capture=which, calls=few, part=st.integers(0, 8))
    agent_round = told("agent_round", agent=which, seconds=seconds, spare=spare)
    agent_rounds = told("agent_rounds", agent=which, count=st.integers(2, 5))
    second_agent = told("second_agent")
    kill_agent = told("kill_agent", agent=which)
    stop_agent_at = told("stop_agent_at", agent=which, calls=few, inner=maybe_inner, seconds=seconds, spare=spare)
    stop_agent_at_point = told(
        "stop_agent_at_point",
        agent=which,
        point=st.sampled_from(POINTS),
        times=st.integers(1, 3),
        inner=maybe_inner,
        seconds=seconds,
        spare=spare,
    )
    upkeep = told("upkeep", agent=which, calls=st.one_of(st.none(), few))
    database_kill = told("database_kill", lost_commits=st.sampled_from([0, 0, 0, 1, 3]))
    database_start = told("database_start")
    late_commit = told("late_commit")
    net_cut = told("net_cut", calls=st.integers(0, 25), when=st.sampled_from(["before", "after", "late"]))
    backends_survive = told("backends_survive", survive=st.booleans())
    restore_database = told("restore_database", index=st.integers(0, 20))
    new_empty_database = told("new_empty_database")
    power_cut = told("power_cut")
    flip_bit = told("flip_bit", which=which, bit=st.integers(0, 10**6))
    fill_disk = told("fill_disk", room=st.sampled_from([None, None, 0, 30, 400]))
    break_disk = told("break_disk", broken=st.sampled_from([False, False, True]))
    bad_sector = told("bad_sector", which=which, bad=st.booleans())
    clock_jump = told("clock_jump", seconds=st.sampled_from([-1e9, -90000.0, -5.0, 3.0, 90000.0, 3e9]))
    wait = told("wait", seconds=st.sampled_from([0.1, 2.0, 100.0, 5000.0]))


class Telling:
    """Adds the history to a failure."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        if isinstance(problem, Exception):
            told = pprint.pformat(self.machine.history, width=150, compact=True)
            problem.add_note(f"search seed {SEED}; play(*{self.machine.begun!r}) of\n{told}")


def settings_for(examples, steps):
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )


@pytest.mark.timeout(3600)  # a failure is made short before it is told
def test_any_history_ends_with_every_record_stored_once_or_declared(capsys):
    for number in range(rounds(1)):
        run_state_machine_as_test(seed(SEED + number)(Delivery), settings=settings_for(rounds(150, 25), 50))
    with capsys.disabled():
        print(f" [{TOTALS['examples']} histories, {TOTALS['steps']} steps, {len(BY_RULE)} rules, seed {SEED}] ", end="")
