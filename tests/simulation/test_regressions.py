"""Histories that once ended badly, played again. What the simulation finds is written down here with the name of what it was.

An action at a call's name ("db positions") instead of its number keeps a history meaningful when the code makes other calls before it.
"""

import pytest

from simulation.actions import play

AT_REST = {"seconds": 1.5, "spare": True}
HISTORIES = {
    "a segment that a file system told late of, and whose writer had died": (
        (2, 5, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["agent_round", {"agent": 0, "seconds": 4.0, "spare": True}],
            ["agent_round", {"agent": 0, "seconds": 0.2, "spare": True}],
            ["rotate", {"program": 0}],
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["kill_program", {"program": 0}],
            ["agent_round", {"agent": 0, "seconds": 1.5, "spare": True}],
            ["agent_round", {"agent": 0, "seconds": 1.5, "spare": True}],
        ],
    ),
    "a segment that was born and left between the look at the spool and the look at its writer": (
        (7, 5, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            [
                "stop_agent_at",
                {
                    "agent": 0,
                    "calls": "db positions",
                    "inner": ["kill_in_append", {"program": 0, "calls": 400, "part": 0, "kind": 0}],
                    **AT_REST,
                },
            ],
        ],
    ),
    "a record that was interrupted stood, with the lowest number, behind a segment that was removed: a new store was told of no gap": (
        (0, 5, 500),
        [
            [
                "interrupt_append",
                {"calls": 0, "program": 0, "inner": ["append", {"count": 3, "kind": 0, "program": 0, "size": 150}]},
            ],
            ["agent_round", {"agent": 0, "seconds": 0.2, "spare": False}],
            ["new_empty_database", {}],
        ],
    ),
    "drops declared behind half a frame, which then looked like damage": (
        (0, 2, 500),
        [
            ["rotate", {"program": 0}],
            ["fill_disk", {"room": 30}],
            ["rotate", {"program": 0}],
            ["fill_disk", {"room": None}],
            ["close_writer", {"program": 0}],
        ],
    ),
    "the name of a new segment was not flushed with its content": (
        (3, 5, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 6, "size": 300}],
            ["upkeep", {"agent": 0, "calls": None}],
            ["power_cut", {}],
        ],
    ),
    "files of the future were never removed": (
        (0, 2, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["clock_jump", {"seconds": -1e9}],
        ],
    ),
    "refused rows were counted as lines of their run": (
        (0, 40, 9000),
        [
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["append", {"program": 0, "kind": 4, "count": 2, "size": 10}],
            ["agent_rounds", {"agent": 0, "count": 2}],
        ],
    ),
    "a dead letter that another agent had kept": (
        (0, 2, 500),
        [
            ["backends_survive", {"survive": True}],
            ["append", {"program": 0, "kind": 4, "count": 4, "size": 10}],
            ["agent_round", {"agent": 0, **AT_REST}],
            ["second_agent", {}],
            ["agent_rounds", {"agent": 0, "count": 2}],
        ],
    ),
    "the server's clock was put back over midnight": (
        (0, 2, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["agent_rounds", {"agent": 0, "count": 3}],
            ["clock_jump", {"seconds": 90000.0}],
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["agent_rounds", {"agent": 0, "count": 3}],
            ["clock_jump", {"seconds": -90000.0}],
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["agent_rounds", {"agent": 0, "count": 3}],
        ],
    ),
    "a last record that was damaged passed for one that was never written": (
        (0, 2, 9000),
        [
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 60}],
            ["flip_bit", {"which": 0, "bit": 3200}],
        ],
    ),
    "removed, and then the database was restored": (
        (0, 5, 500),
        [
            ["rotate", {"program": 0}],
            ["kill_program", {"program": 0}],
            ["agent_rounds", {"agent": 0, "count": 4}],
            ["agent_round", {"agent": 0, "seconds": 45.0, "spare": True}],
            ["restore_database", {"index": 0}],
        ],
    ),
    "partly removed, a new database, a power cut that takes half of what was remembered": (
        (1, 40, 500),
        [
            ["rotate", {"program": 0}],
            ["rotate", {"program": 0}],
            ["agent_rounds", {"agent": 0, "count": 3}],
            ["agent_round", {"agent": 0, "seconds": 45.0, "spare": False}],
            ["new_empty_database", {}],
            ["power_cut", {}],
        ],
    ),
    "removed by an agent that had not shipped it": (
        (0, 2, 500),
        [
            ["second_agent", {}],
            ["net_cut", {"calls": 0, "when": "before"}],
            ["second_agent", {}],
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["append_threads", {"program": 0, "threads": 2, "each": 2, "schedule": []}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            ["agent_round", {"agent": 1, "seconds": 0.2, "spare": False}],
            ["database_kill", {"lost_commits": 3}],
        ],
    ),
    "removed while the disk of the spool was full": (
        (0, 5, 500),
        [
            ["rotate", {"program": 0}],
            ["kill_program", {"program": 0}],
            ["fill_disk", {"room": 0}],
            ["agent_rounds", {"agent": 0, "count": 4}],
            ["agent_round", {"agent": 0, "seconds": 45.0, "spare": False}],
        ],
    ),
    "drops are declared with the next record that is accepted": (
        (0, 40, 9000),
        [
            ["append", {"program": 0, "kind": 0, "count": 2, "size": 10}],
            ["drop", {"program": 0}],
            ["drop", {"program": 0}],
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["kill_program", {"program": 0}],
        ],
    ),
    "threads take turns at each system call": (
        (0, 40, 900),
        [
            [
                "append_threads",
                {"program": 0, "threads": 3, "each": 4, "schedule": [0, 1, 2, 1, 0, 2, 2, 0, 1, 0, 1, 2]},
            ],
            [
                "append_threads",
                {"program": 0, "threads": 4, "each": 5, "schedule": [3, 2, 1, 0, 1, 2, 3, 0, 0, 1, 1, 2, 2]},
            ],
        ],
    ),
    "a last word between the last read and the look at its writer": (
        (0, 40, 9000),
        [
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            [
                "stop_agent_at",
                {
                    "agent": 0,
                    "calls": "open proc",
                    "inner": ["kill_in_append", {"program": 0, "calls": 40, "part": 0, "kind": 0}],
                    **AT_REST,
                },
            ],
        ],
    ),
    "segments are removed behind a writer that lives": (
        (0, 40, 500),
        [
            ["rotate", {"program": 0}],
            ["rotate", {"program": 0}],
            ["agent_round", {"agent": 0, "seconds": 12.0, "spare": False}],
            ["append", {"program": 0, "kind": 0, "count": 3, "size": 10}],
            ["agent_round", {"agent": 0, "seconds": 12.0, "spare": False}],
        ],
    ),
    "a commit that never arrived, and a spool that is short of room": (
        (0, 40, 500),
        [
            ["append", {"program": 0, "kind": 0, "count": 1, "size": 10}],
            ["agent_round", {"agent": 0, "seconds": 1.5, "spare": False}],
            ["rotate", {"program": 0}],
            ["rotate", {"program": 0}],
            ["net_cut", {"calls": "commit", "when": "before"}],
            ["agent_round", {"agent": 0, "seconds": 12.0, "spare": False}],
        ],
    ),
    "a captured line and a keeper that dies in the middle of the next one": (
        (5, 5, 500),
        [
            ["captured", {"capture": 0, "count": 6, "size": 200, "last": False}],
            ["kill_capture", {"capture": 0, "calls": 3, "part": 4}],
            ["agent_rounds", {"agent": 0, "count": 3}],
        ],
    ),
    "a second new database, behind one that had been told of a gap and had no rows": (
        (0, 5, 500),
        [
            ["interrupt_append", {"calls": 0, "inner": ["rotate", {"program": 0}], "program": 0}],
            ["wait", {"seconds": 100.0}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            ["new_empty_database", {}],
            ["power_cut", {}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            ["second_agent", {}],
            ["new_empty_database", {}],
        ],
    ),
    "a second new database, and the agent that told the first of its gap was killed by then": (
        (0, 5, 500),
        [
            ["interrupt_append", {"calls": 0, "inner": ["rotate", {"program": 0}], "program": 0}],
            ["wait", {"seconds": 100.0}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            ["new_empty_database", {}],
            ["power_cut", {}],
            ["stop_agent_at", {"agent": 0, "calls": "commit", "inner": None, "seconds": 1.5, "spare": False}],
            ["second_agent", {}],
            ["agent_rounds", {"agent": 0, "count": 2}],
            ["new_empty_database", {}],
        ],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name):
    begun, history = HISTORIES[name]
    play(*begun, history)
