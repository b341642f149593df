"""Drive `told_program.py`: say something to it, and look whether that was recorded."""

import os
import subprocess

import flightlog
from acceptance import running
from waiting import wait_until

PROGRAM = os.path.join(os.path.dirname(__file__), "told_program.py")
SOURCE = os.path.dirname(os.path.dirname(flightlog.__file__))


class Told:
    """A running pipeline.

    Args:
        command: what starts the program, its path and arguments excluded.
        home, config: of flightlog.
        name: the pipeline's; empty: its own.
    """

    def __init__(self, command, home, config, name="", **more):
        self.home, self._count = home, 0
        env = running.environment(home, FLIGHTLOG_CONFIG=str(config), PYTHONPATH=SOURCE, **more)
        self.process = subprocess.Popen(
            [*command, PROGRAM, *([name] if name else [])],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def say(self, verb, word=None):
        """Have it done; return the word. The program's output is the same whether it is recorded or not."""
        if word is None:
            self._count += 1
            word = f"word-{self._count}"
        self.process.stdin.write(f"{verb} {word}\n".encode())
        self.process.stdin.flush()
        expected = {"log": f"INFO {word}", "debug": f"DEBUG {word}", "own": "own"}.get(verb, word)
        assert self.process.stdout.readline().decode() == expected + "\n"
        return word

    def recorded(self, verb):
        """Tell whether what is said now is recorded."""
        word = self.say(verb)
        if verb == "say":
            return word.encode() in running.captured(self.home)
        return any(record.get("m") == word for record in running.records(self.home))

    def await_recorded(self, verb, wanted, seconds=15.0):
        """Wait until what is said is recorded, or is not any more."""
        what = f"{verb} to be {'' if wanted else 'not '}recorded"
        wait_until(lambda: self.recorded(verb) is wanted, seconds, what)

    def end(self):
        """Let it end; its exit status must be 0, and nothing more may have been said."""
        out, err = self.process.communicate(timeout=30)
        assert (self.process.returncode, out, err) == (0, b"", b"")
