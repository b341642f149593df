"""Reading commands ship first what is pending: the lines of a run that goes on, however few, are there at the first look."""

import subprocess
import sys

import running

from unit.query.command import Command
from waiting import wait_until

PROGRAM = "import sys\nfor line in sys.stdin: print('said', line, end='', flush=True)"


def test_few_lines_of_a_run_that_goes_on_are_shown_although_no_agent_runs(dsn, home):
    flightlog = Command(dsn, home)
    command = [sys.executable, "-m", "flightlog", "run", "-n", "talk", "--", sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(
        command, env=flightlog.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        said = ""
        for word in ("one", "two", "three"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            said += f"said {word}\n"
            wait_until(lambda said=said: len(running.metas(home)) == 2 and running.captured(home) == said.encode())
            assert flightlog("logs", "talk", "-o", "cat")[0] == said
    finally:
        process.communicate()
    assert process.returncode == 0
