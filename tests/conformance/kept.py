"""Programs to keep, and looking at what became of them, for the tests of both controllers."""

import os
import signal
import sys

from flightlog import identity
from flightlog.process.controller import ProcessController
from flightlog.process.enhanced import EnhancedProcessController
from flightlog.process.restart import Policy
from flightlog.process.statedir import StateDir
from waiting import wait_until

QUICK = {"base_s": 0.05, "cap_s": 0.2, "healthy_s": 30.0}
SLEEP = ["sleep", "1000"]


class Kept:
    """A controller of one kind, and its home."""

    def __init__(self, kind, home):
        self.kind, self.home = kind, home
        self.made = {"plain": ProcessController, "enhanced": EnhancedProcessController}[kind]
        self.keep = self.controller()

    def controller(self, **policy):
        return self.made(home=self.home, policy=Policy(**{**QUICK, **policy}))

    def counting(self, body="", name="starts"):
        """A command that notes its pid in a file, then runs *body* (Python; `count` is the how-manieth start it is)."""
        path = os.path.join(self.home, name)
        text = (
            "import os, signal, subprocess, sys, time\n"
            f"fd = os.open({path!r}, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)\n"
            "os.write(fd, b'%d\\n' % os.getpid())\n"
            "count = os.pread(fd, 65536, 0).count(b'\\n')\n" + body
        )
        return [sys.executable, "-S", "-c", text]

    def starts(self, name="starts"):
        """The pids that `counting` has noted."""
        try:
            with open(os.path.join(self.home, name)) as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    def folder(self, name):
        return StateDir(self.home, name)

    def output(self, name, stream="stdout"):
        with open(self.folder(name).file(stream + ".log"), "rb") as file:
            return file.read()

    def status(self, name):
        return self.keep.get_process_status(name)

    def await_state(self, name, *states, seconds=20.0):
        """Wait until it is in one of *states*, looking as a stranger would: at the file, so that nothing is adopted by looking."""
        from flightlog.process.view import view

        def there():
            state = self.folder(name).read("state.json")
            found = view(self.folder(name), state) if state else {}
            return found if found.get("state") in states else None

        try:
            return wait_until(there, seconds, f"{name} to be {states}")
        except AssertionError as problem:
            raise AssertionError(
                f"{problem}: {self.folder(name).read('state.json')}, {self.complaints(name)}"
            ) from None

    def complaints(self, name):
        """What its caretakers have said in their log."""
        try:
            with open(self.folder(name).file("caretaker.log")) as file:
                return file.read()
        except OSError as problem:
            return str(problem)

    def kill_caretaker(self, name):
        """Kill -9 it, and wait until its lock is free."""
        pid = self.folder(name).read("state.json")["caretaker"]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.folder(name).holder() is None, what="the lock to be free")
        return pid


def alive(pid):
    return identity.process_state(pid) not in ("", "Z", "X")
