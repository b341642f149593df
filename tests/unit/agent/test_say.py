"""The agent's own log holds no secret, whoever named it: a message, or what ends the process."""

import sys

from flightlog import daemons
from flightlog.agent.agent import Agent
from flightlog.agent.door import Door


def test_what_the_agent_says_is_masked(tmp_path, capfd):
    Agent(str(tmp_path), "", lambda: None, Door(str(tmp_path))).say(
        "holding everything: no login with password=hunter2"
    )
    assert capfd.readouterr().err.endswith("holding everything: no login with password=[redacted]\n")


def test_what_ends_it_is_masked(capfd):
    try:
        raise ValueError("postgres://u:hunter2@h")
    except ValueError:
        daemons._say_masked(*sys.exc_info())
    said = capfd.readouterr().err
    assert "hunter2" not in said and "ValueError: postgres://u:[redacted]@h" in said
