"""kill -9 of anyone under load: keeper, shim, caretaker, command, controlling programs, tmux, agent, PostgreSQL, one or several at once.

After each blow what was hit must be well again, by a condition and a deadline; at the end: one copy of each kept program at a time, each record once in
the database, no zombie, no signal to a stranger, nothing left. FLIGHTLOG_FAULT_ROUNDS x 15 kills in `make faults` (300), a few in `make test`.
"""

import fcntl
import os
import random
import stat
import time
from collections import Counter

import pytest
from campaign import LONG, SEED, rounds
from keptstage import KINDS, SETTLED, Stage
from load import load
from test_database_deaths import BATCHES, count

from flightlog import identity
from flightlog.agent import door
from flightlog.errors import FlightlogError
from flightlog.process import family
from flightlog.process.statedir import StateDir
from waiting import wait_until

DEADLINE = 90
OF_KEPT = ("keeper", "shim", "caretaker", "command")
# How often each is hit: the database takes seconds to come back each time.
SHARES = {"keeper": 5, "shim": 5, "caretaker": 6, "command": 5, "caller": 3, "tmux": 2, "pane": 2, "agent": 3, "postmaster": 1, "backend": 1}  # fmt: skip


@pytest.fixture
def stage(own_scene, monkeypatch):
    for name, value in own_scene.env().items():  # what is kept gets our environment
        if name != "FLIGHTLOG_DSN":
            monkeypatch.setenv(name, value)
    one = Stage(own_scene, random.Random(SEED))
    yield one
    one.close()


@pytest.mark.slow
def test_some_kills_of_anyone(stage):
    """The slice that runs in `make test`."""
    campaign(stage, 10)


def test_48_kills_of_anyone(stage):
    if not LONG:
        pytest.skip("only in make faults")
    campaign(stage, rounds(10, times=15))


def campaign(stage, kills):
    """Do so many kills, then judge."""
    scene, hits = stage.scene, Counter()
    where = f"seed {SEED}"
    # Each kind once, so that none is left to chance; then as the shares say, up to three at a time.
    first = stage.chance.sample(sorted(SHARES), len(SHARES))
    with load(scene, count=1, burst=5) as pipelines:
        scene.start_agent(config=BATCHES)
        stage.begin()
        settle(stage, {}, set(SETTLED), f"{where}: the beginning")
        while sum(hits.values()) < kills:
            several = min(stage.chance.choice([1, 1, 2, 3]), kills - sum(hits.values()))
            kinds = [first.pop() if first else _any(stage) for _ in range(several)]
            blow(stage, kinds, hits, f"{where}, after {dict(hits)}, {kinds}")
            scene.tally.add(rounds=1)
        pipelines.more(50)
        stage.end()
    scene.tally.add(kills=sum(hits.values()))
    scene.tally.notes.append("kills: " + ", ".join(f"{number} {what}" for what, number in sorted(hits.items())))
    assert kills < 2 * len(SHARES) or set(hits) == set(SHARES), f"{where}: not everything was hit: {hits}"
    stage.check_witnesses(where)
    found = scene.check(names=[*pipelines.names, *(f"{n}-{p}" for n in SETTLED for p in stage.copies(n)[-1:])])
    assert found.good, where
    judge_remains(stage, where)


def _any(stage):
    return stage.chance.choices(list(SHARES), list(SHARES.values()))[0]


def blow(stage, kinds, hits, where):
    """Kill one of each of *kinds* at nearly the same moment; wait until all that was hit is well again."""
    scene = stage.scene
    copies = {name: stage.copies(name)[-1:] for name in SETTLED}
    said = {who: stage.calls(who) for who in ("caller", "tmux")}
    stored = count(scene)
    hit, alone = {}, len(kinds) == 1
    for kind in kinds:
        name = stage.chance.choice(SETTLED if stage.chance.random() < 0.8 else ["asked"])
        moment = time.monotonic() + stage.chance.choice(
            [0, 0, 0.01, 0.1]
        )  # so that any moment of what was hit before is met
        wait_until(lambda: time.monotonic() >= moment, 1)
        victim, name, kind = find(stage, kind, name)
        if not stage.kill(victim):
            continue  # the blow before has got it
        hits[kind] += 1
        hit[kind, name] = victim
    before = stage.marks()
    again(stage, hit, said, where)
    for (kind, name), victim in hit.items():
        if name in SETTLED:  # the old copy may still log while what its death follows from is dead already
            wait_until(lambda: stage.replaced(kind, name, victim), DEADLINE, f"a new {kind} of {name}: {where}")
    settle(stage, before, {name for kind, name in hit if name in SETTLED}, where)
    for kind, name in hit:
        if alone and kind in ("caretaker", "shim") and name in SETTLED:
            assert stage.copies(name)[-1:] == copies[name], f"{where}: the copy of {name} did not outlive its {kind}"
    if {kind for kind, _ in hit} & {"agent", "postmaster", "backend"}:
        wait_until(lambda: count(scene) > max(stored, 0), DEADLINE, f"rows to arrive: {where}: {scene.words()}")
    wait_until(lambda: not stage.zombies(), DEADLINE, f"zombies to be reaped: {where}: {stage.zombies()}")
    stage.check_witnesses(where)


def find(stage, kind, name):
    """(victim, name, kind): where there is no such process at present (a keeper of a plain one), another of the same program."""
    if kind not in OF_KEPT:
        one = {
            "caller": lambda: (stage.caller.pid, identity.process_start_time(stage.caller.pid)),
            "tmux": stage.tmux,
            "pane": stage.pane,
            "agent": lambda: (stage.scene.agent.pid, identity.process_start_time(stage.scene.agent.pid)),
            "postmaster": lambda: (stage.scene.server.pid, identity.process_start_time(stage.scene.server.pid)),
            "backend": stage.backend,
        }[kind]()
        return one, "", kind
    if kind in ("keeper", "shim") and name == "plain":
        name = "kept"
    victim = stage.victim(kind, name)
    if victim is None and kind in ("keeper", "shim"):  # both were killed before: it runs unrecorded
        kind, victim = "command", stage.victim("command", name)
    return victim, name, kind


def again(stage, hit, said, where):
    """Start again what nobody but a person, or a service manager, starts."""
    scene, kinds = stage.scene, {kind for kind, _ in hit}
    if "postmaster" in kinds:
        wait_until(lambda: _served(scene), DEADLINE, f"the server to start again: {where}")
    if "agent" in kinds:
        scene.agent.wait()
        scene.agent = None
        scene.start_agent(config=BATCHES)
    if "caller" in kinds:
        stage.caller.wait()
        stage.call()
        wait_until(lambda: stage.calls("caller") > said["caller"], DEADLINE, f"a new caller to be served: {where}")
    if kinds & {"tmux", "pane"}:
        wait_until(lambda: stage.tmux() is None, DEADLINE, f"tmux to be gone: {where}")
        stage.call_in_tmux()
        wait_until(lambda: stage.calls("tmux") > said["tmux"], DEADLINE, f"a new pane to be served: {where}")


def _served(scene):
    try:  # as long as a child of the one that was killed has not noticed, the shared memory is in use
        scene.server.start()
    except FlightlogError:
        return False
    return count(scene) >= 0


def settle(stage, before, names, where):
    """Wait until one copy of each of *names* runs, is kept, and logs; where recorders died the moment after counts."""
    for name in sorted(names):
        wait_until(
            lambda: stage.running(name, before),
            DEADLINE,
            f"{name} to run: {where}: {stage.state(name)}, {stage.copies(name)[-3:]}",
        )


def judge_remains(stage, where):
    """Nothing is left: no process, not even a zombie, no lock that is held, no socket."""
    home = stage.scene.home
    stage.scene.stop_agent()

    def remains():
        known = family.snapshot()
        # A zombie whose parent has died is the init process's to reap, which may take its time.
        ours = [pid for pid, start in stage.seen if pid in known and known[pid].start == start]
        ours = [pid for pid in ours if known[pid].state not in "ZX" or known[pid].ppid != 1]
        # What bears this home, whoever it was: the server's own children have an environment without it.
        ours += [
            pid
            for pid, one in known.items()
            if one.state not in "ZX" and family.variable(pid, b"FLIGHTLOG_HOME") == home.encode()
        ]
        return [family.describe(known[pid]) for pid in ours if pid != os.getpid()]

    wait_until(lambda: not remains(), DEADLINE, f"nothing to be left: {where}: {remains()}")
    assert door.holder(home) is None, where
    for name in KINDS:
        folder = StateDir(home, name)
        assert not folder.exists() or folder.holder() is None, (where, name)
        if folder.exists():
            with open(folder.file("intent.lock"), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    left = [os.path.join(at, file) for at, _, files in os.walk(home) for file in files]
    sockets = [path for path in left if stat.S_ISSOCK(os.lstat(path).st_mode)]
    assert not [path for path in sockets if path != stage.socket], (where, sockets)
    stage.check_witnesses(where)
