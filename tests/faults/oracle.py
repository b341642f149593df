"""The judge of every fault test: what the witness outside saw must be in the database, once, with the same bytes.

`Scene` holds what a test plays in: home, database, victims, agent. `Scene.check` is the oracle:
- every witnessed record is stored exactly once, its text unchanged, each name's numbers rising within a writer; no row is doubled, whoever wrote it;
- beyond that at most so many records per name whose call may not have returned;
- what is missing, where a fault may lose, is exactly what the audit declares; nothing is ever lost silently;
- `flightlog audit` agrees, by its exit code; the agent lives, stayed small, and a fresh record arrives within five seconds.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import zlib
from unittest import mock

from campaign import HERE, LONG, SEED, environment

from flightlog import wiring
from flightlog.agent import door
from flightlog.query import audit as auditing
from integration.shipping import fetch
from waiting import wait_until

MAX_AGENT_BYTES = 200 << 20
LIVENESS_SECONDS = 5.0
FRESH = "import flightlog, sys\nflightlog.init(pipeline='fresh')\nflightlog.get_logger('fresh').info(sys.argv[1])\n"
_said = re.compile(r"w:([^:]+):(\d+):")


class Scene:
    """One test's stage. `prefix` is put before every command: `nsenter ...` where files are only seen in a mount namespace."""

    def __init__(self, home, dsn, folder, tally):
        self.home, self.dsn, self.folder, self.tally = str(home), dsn, str(folder), tally
        self.spool = os.path.join(self.home, "spool", str(os.geteuid()))
        self.witness = os.path.join(self.folder, "witness")
        self.prefix = []
        self.agent = None
        self.variables = {}  # of everything that runs here
        self.agent_variables = {}  # of agents only
        self._fresh = 0
        self._processes = []

    # -- what runs here -------------------------------------------------------------------------------------------

    def env(self, **more):
        """The environment of a victim."""
        return environment(self.home, self.dsn, FAULT_WITNESS=self.witness, **{**self.variables, **more})

    def script(self, text, name="victim.py"):
        """Write a victim's program; return its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self, program, *arguments, python=sys.executable, options=(), env=None, **popen):
        """Start the victim *program* (text); return the process, whose standard error is a file that `words` shows."""
        path = self.script(program, f"victim{zlib.crc32(program.encode()):08x}.py")
        command = [*self.prefix, python, *options, path, *map(str, arguments)]
        with open(os.path.join(self.folder, "stderr"), "ab") as errors:
            popen.setdefault("stderr", errors)
            popen.setdefault("stdout", subprocess.DEVNULL)
            process = subprocess.Popen(command, env=env or self.env(), **popen)
        self._processes.append(process)
        return process

    def run(self, program, *arguments, timeout=120, **more):
        """Run a victim to its end; return its status."""
        return self.start(program, *arguments, **more).wait(timeout)

    def words(self):
        """What victims and agent wrote to standard error."""
        text = ""
        for name in ("stderr", "agent.log"):
            with contextlib.suppress(OSError), open(os.path.join(self.folder, name), errors="replace") as file:
                text += file.read()[-4000:]
        return text

    def command(self, *arguments, env=None, timeout=120):
        """Run the command line; return (status, stdout, stderr)."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "-m", "flightlog", *arguments],
            env=env or self.env(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.returncode, done.stdout, done.stderr

    def start_agent(self, config="", **variables):
        """Start the agent, unless it runs."""
        if self.agent is None or self.agent.poll() is not None:
            if config:
                variables["FLIGHTLOG_CONFIG"] = self.script(config, "config.yml")
            with open(os.path.join(self.folder, "agent.log"), "ab") as log:
                self.agent = subprocess.Popen(
                    [*self.prefix, sys.executable, "-m", "flightlog", "agent", "run"],
                    env=self.env(**{**self.agent_variables, **variables}),
                    stderr=log,
                    stdout=log,
                )
            # A reading command of ours would ship by itself, and hold the door, as long as no agent does.
            wait_until(lambda: door.holder(self.home) or self.agent.poll() is not None, 30, "the agent to begin")
        return self.agent

    def kill_agent(self):
        """Kill the agent with -9; return whether it was still there to be killed."""
        agent, self.agent = self.agent, None
        self.tally.largest_agent = max(self.tally.largest_agent, peak_bytes(agent.pid))
        agent.kill()
        return agent.wait() == -signal.SIGKILL

    def stop_agent(self):
        """End the agent as a service manager does; it must end well."""
        agent, self.agent = self.agent, None
        if agent is not None:
            self.tally.largest_agent = max(self.tally.largest_agent, peak_bytes(agent.pid))
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(30) == 0, self.words()

    def close(self):
        """End what still runs."""
        for process in [*self._processes, self.agent]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    # -- what is there --------------------------------------------------------------------------------------------

    def witnessed(self):
        """What the witness saw: (name, number) -> checksum of the text."""
        seen = {}
        with contextlib.suppress(FileNotFoundError), open(self.witness, "rb") as file:
            for line in file.read().split(b"\n")[:-1]:
                name, n, crc = line.decode().split()
                key = (name, int(n))
                assert key not in seen, f"the witness saw {key} twice: the test is wrong"
                seen[key] = crc
        return seen

    def rows(self):
        """What is stored of the witnessed kind, in order: (writer, name, number, checksum)."""
        found = []
        for writer, message in fetch(
            self.dsn,
            "SELECT replace(writer_id::text, '-', ''), message FROM pipeline_logs WHERE message LIKE 'w:%%' ORDER BY writer_id, seq",
        ):
            match = _said.match(message)
            assert match, message[:100]
            found.append((writer, match[1], int(match[2]), f"{zlib.crc32(message.encode()):08x}"))
        return found

    def audit(self):
        """The account of every writer, as `flightlog audit -o json` gives it."""
        if not self.prefix:
            with mock.patch.dict(os.environ, self.env()), wiring.reading_store(ship=False) as reading:
                return auditing.audit(reading.connection, None, reading.node, reading.pending)
        code, out, err = self.command("audit", "-o", "json")
        assert code in (0, 1), err
        return _Told(json.loads(out))

    def _moving(self):
        """Whether bytes wait to be shipped, as far as that is seen at a glance: an audit reads every row."""
        if self.prefix:
            return False
        with mock.patch.dict(os.environ, self.env()), wiring.reading_store(ship=False) as reading:
            return reading.backlog_bytes > 0

    def settle(self, open_writers=0, seconds=600 if LONG else 60):
        """Start the agent if need be and wait until all that lies in the spool is shipped and all writers but *open_writers* are closed."""
        self.start_agent()

        def settled():
            assert self.agent.poll() is None, f"seed {SEED}: the agent ended: {self.words()}"
            if self._moving():
                return None
            found = self.audit()
            waiting = [item for item in found.writers if item.pending_bytes]
            return not waiting and sum(not item.closed for item in found.writers) <= open_writers and found

        try:
            return wait_until(settled, seconds, "everything to be shipped")
        except AssertionError as problem:
            bad = [item for item in self.audit().writers if not item.closed or item.pending_bytes]
            raise AssertionError(f"seed {SEED}: {problem}: {bad[:5]} {self.words()}") from None

    # -- the judgement --------------------------------------------------------------------------------------------

    def check(self, beyond=1, may_lose=False, spare=0, open_writers=0, in_order=True, names=None):
        """Judge; add to the tally; return the audit.

        Args:
            beyond: how many records per name may be stored though no call was seen to return; None: any number.
            may_lose: the fault may lose records that were witnessed, if each is declared.
            spare: how many more than these may be declared (records that have no witness: events of the SDK).
            open_writers: how many writers still live.
            in_order: whether numbers of a name rise within a writer.
            names: the names that must be there, where the witness must have seen something.
        """
        found = self.settle(open_writers)
        witnessed, rows = self.witnessed(), self.rows()
        where = f"seed {SEED}"
        for name in names or ():
            assert any(key[0] == name for key in witnessed), f"{where}: nothing of {name} was witnessed: {self.words()}"
        compare(witnessed, rows, beyond, in_order, where)
        stored = {row[1:3] for row in rows}
        missing = [key for key in witnessed if key not in stored]
        declared = found.total("dropped") + found.total("corrupt") + found.total("dead")
        if not may_lose:
            assert not missing, f"{where}: {len(missing)} of {len(witnessed)} lost, {missing[:5]}; {declared} declared"
            assert found.good, f"{where}: {[item for item in found.writers if not item.good][:5]}"
        else:
            assert len(missing) <= declared <= len(missing) + spare, (
                f"{where}: {len(missing)} are missing, {missing[:5]}, and {declared} declared: {[i for i in found.writers if not i.good][:5]}"
            )
            assert not (found.total("missing") or found.total("duplicates") or found.total("unproven")), found
        nothing_twice(self.dsn)
        code, out, err = self.command("audit")
        assert code == (0 if found.good else 1), (where, out, err)
        self.check_alive()
        self.tally.add(
            witnessed=len(witnessed),
            stored=len(rows),
            declared=declared,
            lost=max(0, len(missing) - declared),
            doubled=len(rows) - len(stored),
        )
        return found

    def check_alive(self):
        """A fresh record of a fresh process arrives within five seconds, and the agent stayed small."""
        self._fresh += 1
        text = f"fresh {self._fresh}"
        assert self.run(FRESH, text, env=self.env(FAULT_SHIM="", LD_PRELOAD="")) == 0, self.words()
        wait_until(
            lambda: fetch(self.dsn, "SELECT 1 FROM pipeline_logs WHERE logger = 'fresh' AND message = %s", text),
            LIVENESS_SECONDS,
            f"a fresh record (seed {SEED}): {self.words()}",
        )
        assert self.agent.poll() is None, self.words()
        self.tally.largest_agent = max(self.tally.largest_agent, peak_bytes(self.agent.pid))
        assert self.tally.largest_agent < MAX_AGENT_BYTES, f"the agent took {self.tally.largest_agent >> 20} MiB"


def compare(witnessed, rows, beyond, in_order=True, where=""):
    """Compare what was witnessed with what is stored, losses apart: nothing twice, nothing changed, nothing out of order, little unwitnessed."""
    stored, last, extra = {}, {}, {}
    for writer, name, n, crc in rows:
        assert (name, n) not in stored, f"{where}: {name} {n} is stored twice"
        stored[name, n] = crc
        if in_order:
            assert n > last.get((writer, name), -1), f"{where}: {name} {n} is stored behind {last[writer, name]}"
            last[writer, name] = n
        if (name, n) not in witnessed:
            extra.setdefault(name, []).append(n)
    changed = [key for key, crc in witnessed.items() if stored.get(key, crc) != crc]
    assert not changed, f"{where}: the texts of {changed[:5]} have changed"
    if beyond is not None:
        much = {name: numbers[:5] for name, numbers in extra.items() if len(numbers) > beyond}
        assert not much, f"{where}: stored, but no call was seen to return: {much}"


def nothing_twice(dsn):
    """No row of any writer is there twice, and the writers' counts are those of the rows."""
    twice = fetch(dsn, "SELECT writer_id, seq FROM pipeline_logs GROUP BY 1, 2 HAVING count(*) > 1 LIMIT 5")
    where = fetch(dsn, "SELECT run_id, node, pos FROM pipeline_logs GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT 5")
    assert (twice, where) == ([], []), f"seed {SEED}: {twice} {where}"


def peak_bytes(pid):
    """The most resident memory that a process ever had; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


class _Told:
    """`flightlog audit -o json` with the attributes of `query.audit.Audit`."""

    def __init__(self, data):
        self._data = data
        self.good = data["good"]
        self.writers = [_Writer(item) for item in data["writers"]]

    def total(self, name):
        return self._data[name]


class _Writer:
    def __init__(self, data):
        vars(self).update(data)

    def __repr__(self):
        return str(vars(self))


__all__ = ["HERE", "Scene", "compare", "nothing_twice", "peak_bytes"]
