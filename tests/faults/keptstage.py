"""The stage of the campaign against kept processes: what is kept, who controls it, who stands by, and who may be killed.

Outside of flightlog there are four witnesses: a lock that each copy holds for life (a second copy says so), a line for each copy that began, the
oracle's file of what was logged, and strangers that note every signal. Owns: these, and finding victims by what proves who they are. Leaves what is
killed when, and what must hold afterwards, to test_kept_campaign.
"""

import contextlib
import os
import signal
import subprocess
import sys

from flightlog import identity
from flightlog.errors import NotFound
from flightlog.process import care, family, pidfd
from flightlog.process.controller import ProcessController
from flightlog.process.enhanced import EnhancedProcessController
from flightlog.process.restart import Policy
from flightlog.process.statedir import StateDir
from waiting import wait_until

KINDS = {"plain": ProcessController, "kept": EnhancedProcessController, "asked": EnhancedProcessController}
SETTLED = (
    "plain",
    "kept",
)  # nobody but us asks for anything of these; `asked` is started, stopped and restarted by callers
# A copy and its child, which has made a session of its own, hold a lock each; then it logs for ever.
PROGRAM = """
import fcntl, os, sys, time
folder, name = sys.argv[1:3]

def say(file, text):
    fd = os.open(os.path.join(folder, file), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, text.encode())
    os.close(fd)

def hold(lock):
    fd = os.open(os.path.join(folder, lock), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("double", "%s %d\\n" % (lock, os.getpid()))

hold(name + ".lock")
if os.fork() == 0:
    os.setsid()
    hold(name + ".child.lock")
    while True:
        time.sleep(1000)
say(name + ".starts", "%d\\n" % os.getpid())
import flightlog, worker
flightlog.init(pipeline=name)
log, n = flightlog.get_logger(name), 0
while True:
    worker.log(log.info, "%s-%d" % (name, os.getpid()), n, n % 7 * 30)
    n += 1
    time.sleep(0.02)
"""
# Asks for anything, and may be killed at any moment of it.
CALLER = """
import os, random, sys, time
from flightlog.errors import FlightlogError
from flightlog.process.enhanced import EnhancedProcessController
from flightlog.process.restart import Policy
chance, said, command = random.Random(sys.argv[1]), sys.argv[2], sys.argv[3:]
keep = EnhancedProcessController(policy=Policy(base_s=0.02, cap_s=0.1, window_restarts=1000000))
while True:
    try:
        what = chance.choice(["start", "stop", "restart", "restart", "list"])
        if what == "start": keep.start_process("asked", command, daemon_mode=True)
        elif what == "stop": keep.stop_process("asked", timeout=0.3)
        elif what == "restart": keep.restart_process("asked", timeout=0.3)
        else: keep.list_processes()
    except FlightlogError:
        pass
    with open(said, "a") as file:
        print(os.getpid(), what, file=file)
    time.sleep(0.1)
"""
STRANGER = """
import os, signal, sys
note = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, lambda number, frame: os.write(note, b"signal %d\\n" % number))
os.write(note, b"ready\\n")
while True:
    signal.pause()
"""


class Stage:
    """See the module.

    Args:
        scene: the oracle's; on a server of its own.
        chance: random.Random of the seed.
    """

    def __init__(self, scene, chance):
        self.scene, self.chance = scene, chance
        self.folder = scene.folder
        self.program = scene.script(PROGRAM, "program.py")
        self.calling = scene.script(CALLER, "caller.py")
        policy = Policy(base_s=0.02, cap_s=0.1, window_restarts=1000000)
        self.keeps = {name: made(home=scene.home, policy=policy) for name, made in KINDS.items()}
        self.seen = set()  # (pid, start) of whoever was ours: at the end none of them is even a zombie
        self.caller = None
        self.socket = os.path.join(scene.home, "tmux")
        self._offset, self._records = 0, {}
        self.strangers = []

    def begin(self):
        """Start everything."""
        bare = {key: value for key, value in os.environ.items() if not key.startswith("FLIGHTLOG_")}
        for number in range(2):
            note = os.path.join(self.folder, f"stranger{number}")
            # It looks like one of the kept programs, to whoever goes by names or command lines.
            command = [
                sys.executable,
                "-S",
                self.scene.script(STRANGER, f"stranger{number}.py"),
                note,
                "kept",
                self.program,
            ]
            self.strangers.append((subprocess.Popen(command, start_new_session=bool(number), env=bare), note))
        for _, note in self.strangers:
            wait_until(lambda: os.path.exists(note) and os.path.getsize(note), what="the strangers")
        for name in SETTLED:
            self.keeps[name].start_process(name, self.command(name), daemon_mode=True)
        self.call()
        self.call_in_tmux()

    def command(self, name):
        """The command line of a kept program."""
        return [sys.executable, self.program, self.folder, name]

    def call(self):
        """Start a controlling Python program."""
        self.caller = self.scene.start(CALLER, self._seed(), self.said("caller"), *self.command("asked"))

    def call_in_tmux(self):
        """Start one in a pane of a tmux server of its own."""
        command = [sys.executable, self.calling, self._seed(), self.said("tmux"), *self.command("asked")]
        tmux = ["tmux", "-S", self.socket, "-f", os.devnull, "new-session", "-d", "-s", "chaos", *command]
        subprocess.run(tmux, env=self.scene.env(), check=True, capture_output=True)

    def _seed(self):
        return str(self.chance.randrange(1 << 30))

    def said(self, who):
        """The file in which a caller notes what it has done."""
        return os.path.join(self.folder, who + ".said")

    def calls(self, who):
        """How much it has done."""
        path = self.said(who)
        return os.path.getsize(path) if os.path.exists(path) else 0

    # -- who may be killed ------------------------------------------------------------------------------------------

    def state(self, name):
        """The content of state.json."""
        found = StateDir(self.scene.home, name).read("state.json")
        process = found.get("process") or {}
        for one in (
            found.get("caretaker") or {},
            process,
            {"pid": process.get("keeper"), "start": process.get("keeper_start")},
        ):
            if one.get("pid") and one.get("start"):
                self.seen.add((one["pid"], one["start"]))
        return found

    def victim(self, what, name):
        """(pid, start) of *what* of the kept program *name*; None when there is none at present."""
        state = self.state(name)
        process = state.get("process") or {}
        keeper = process.get("keeper")
        if what == "caretaker":
            found = state.get("caretaker") or {}
            return (found["pid"], found["start"]) if found and StateDir(self.scene.home, name).holder() else None
        if what == "command":
            return (process["pid"], process["start"]) if process.get("start") else None
        if not keeper:
            return None
        if what == "keeper":
            return keeper, process["keeper_start"]
        found = [one for one in family.snapshot().values() if family.is_recorder(one.pid, process["recorder"])]
        return next(((one.pid, one.start) for one in found if one.pid != keeper and one.ppid == keeper), None)

    def tmux(self):
        """(pid, start) of the tmux server, or None."""
        tmux = ["tmux", "-S", self.socket, "display-message", "-p", "#{pid}"]
        pid = int(subprocess.run(tmux, capture_output=True, env=self.scene.env()).stdout or 0)
        return (pid, identity.process_start_time(pid)) if pid else None

    def pane(self):
        """(pid, start) of the program in the pane, or None."""
        tmux = ["tmux", "-S", self.socket, "list-panes", "-t", "chaos", "-F", "#{pane_pid}"]
        pid = int(subprocess.run(tmux, capture_output=True, env=self.scene.env()).stdout or 0)
        return (pid, identity.process_start_time(pid)) if pid else None

    def backend(self):
        """(pid, start) of any child of the postmaster, or None."""
        server = self.scene.server.pid  # 0 when it does not run, and 0 is the parent of the kernel's own
        children = [one for one in family.snapshot().values() if server and one.ppid == server]
        one = self.chance.choice(sorted(children, key=lambda one: one.pid)) if children else None
        return (one.pid, one.start) if one else None

    def kill(self, victim):
        """kill -9 exactly who was found; tell whether it got the signal alive."""
        process = pidfd.find(*victim) if victim and victim[1] else None
        if process is None:
            return False
        self.seen.add(victim)
        done = process.alive() and process.send(signal.SIGKILL)
        process.close()
        return done

    # -- what the witnesses say -------------------------------------------------------------------------------------

    def copies(self, name):
        """The pids of the copies that have begun, in order."""
        try:
            with open(os.path.join(self.folder, name + ".starts")) as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    def records(self, name, pid):
        """How many records of this copy the oracle's witness has."""
        with contextlib.suppress(FileNotFoundError), open(self.scene.witness, "rb") as file:
            file.seek(self._offset)
            data = file.read()
            whole = data.rfind(b"\n") + 1
            self._offset += whole
            for line in data[:whole].splitlines():
                who = line.split(b" ", 1)[0].decode()
                self._records[who] = self._records.get(who, 0) + 1
        return self._records.get(f"{name}-{pid}", 0)

    def _look(self, name):
        """Any look gives it a caretaker."""
        if StateDir(self.scene.home, name).holder() is None:
            self.keeps[name].list_processes()

    def replaced(self, kind, name, victim):
        """Whether what was kept or kept it knows that *victim* has gone."""
        self._look(name)
        state = self.state(name)
        process = state.get("process") or {}
        if kind == "caretaker":
            return (state.get("caretaker") or {}).get("pid") != victim[0]
        if kind == "shim":  # its keeper takes over, without a word to the caretaker
            return not identity.process_alive(*victim)
        return process.get({"command": "pid"}.get(kind, kind)) != victim[0]

    def running(self, name, since):
        """The pid of the copy of *name* that runs, is kept, is the last that began, and has logged since; *since*: `marks()` before."""
        self._look(name)
        state, copies = self.state(name), self.copies(name)
        process = state.get("process") or {}
        pid = process.get("pid")
        if state.get("phase") != "running" or not copies or pid != copies[-1] or not process.get("start"):
            return None
        if not identity.process_alive(pid, process["start"]):
            return None
        return pid if self.records(name, pid) > since.get((name, pid), 0) else None

    def marks(self):
        """How much each copy has logged until now."""
        return {(name, pid): self.records(name, pid) for name in SETTLED for pid in self.copies(name)[-1:]}

    def check_witnesses(self, where):
        """No second copy has begun beside a first, and no stranger has got a signal."""
        double = os.path.join(self.folder, "double")
        assert not os.path.exists(double), (where, open(double).read())
        for process, note in self.strangers:
            with open(note) as file:
                said = file.read()
            assert (process.poll(), said) == (None, "ready\n"), (where, process.returncode, said)

    def zombies(self):
        """Zombies that ours have to reap: children of living caretakers, keepers, agents."""
        ours = {pid for pid, start in self.seen if identity.process_alive(pid, start)}
        return {one.pid for one in family.snapshot().values() if one.state == "Z" and one.ppid in ours}

    # -- the end ----------------------------------------------------------------------------------------------------

    def end(self):
        """End callers and what is kept; nothing of it may be left."""
        self.caller.kill()
        self.caller.wait()
        tmux = self.tmux()
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.scene.env(), capture_output=True)
        wait_until(lambda: tmux is None or not identity.process_alive(*tmux), what="tmux to be gone")
        for name in KINDS:  # a caretaker that a killed caller had started may be on its way still, and what it was told comes after our stop
            wait_until(lambda: not self._arriving(name), 90, f"caretakers of {name} to begin: {self._arriving(name)}")
            wait_until(lambda: self._ended(name), 90, f"the end of {name}: {self.state(name)}")

    def _arriving(self, name):
        """Caretakers that have not got the lock yet, or are about to leave without it."""
        folder = StateDir(self.scene.home, name)
        holder = (folder.holder() or {}).get("pid")
        words = os.fsencode(care.CARETAKER), os.fsencode(folder.path)
        return [
            pid for pid in family.snapshot() if pid != holder and all(word in family.arguments(pid) for word in words)
        ]

    def _ended(self, name):
        try:
            if not self.keeps[name].stop_process(name, timeout=1.0):
                return False
        except NotFound:  # no caller has lived long enough to start it
            pass
        return StateDir(self.scene.home, name).holder() is None and not self.left(name)

    def left(self, name):
        """Who still lives that bears the mark of *name*."""
        mark = f"{name}:{StateDir(self.scene.home, name).read('spec.json').get('token')}".encode()
        return [
            pid
            for pid, one in family.snapshot().items()
            if one.state not in "ZX" and family.variable(pid, family.MARK) == mark
        ]

    def close(self):
        """End the strangers, and whatever a failure has left."""
        for process, _ in self.strangers:
            process.kill()
            process.wait()
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.scene.env(), capture_output=True)
