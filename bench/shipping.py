"""Shipping: rows per second from journal segments on disk to committed rows, beside a raw COPY of exactly the same rows.

Owns: the server, the rounds, the table, the aim. Each round is a process of its own (`bench.shipped`) against a fresh copy of the migrated database,
agent and COPY in turn, so that a busy moment of the machine meets both. Leaves records to `bench.recording`.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg

from flightlog.store.embedded import EmbeddedServer
from flightlog.store.migrate import migrate

from . import recording, results
from .shipped import machine_seconds

TITLE = "Shipping"
ROUNDS = 5
RECORDS = 200_000
BATCHES = (1_000, 5_000, 20_000)
DEFAULT_BATCH = 20_000
ROUND_SECONDS = 120
QUIET = 0.25  # of a core, used by others: pairs of rounds wait for that, and are repeated when it was more,
PATIENCE_SECONDS = 900  # until so much was spent on that, over all; then the quietest of the pairs that were run counts
RECORDS_KIND, LINES_KIND = "records", "captured lines"
_TICK = os.sysconf("SC_CLK_TCK")


class Case:
    """One kind of spool shipped in batches of one size, and the same rows by COPY."""

    def __init__(self, kind, home, batch_rows):
        self.kind, self.home, self.batch_rows = kind, home, batch_rows
        self.sent = os.path.join(home, f"sent-{batch_rows}")
        self.rounds = {"agent": [], "copy": []}

    def prepare(self, server):
        """Ship once, unmeasured, and keep what was sent. Raises RuntimeError when not every record arrived."""
        said = server.round("agent", self.home, str(self.batch_rows), self.sent)
        if said["rows"] < RECORDS or said["stored"] != said["rows"]:
            raise RuntimeError(f"{self.kind}: {RECORDS} records, {said['rows']} shipped, {said['stored']} stored")

    def run(self, server, patience, backwards):
        """Run a round of each, again while others disturb them and *patience* lasts; which comes first alternates."""
        pairs = []
        while not pairs or (_others(pairs[-1]) > QUIET and patience.left > 0):
            began = time.monotonic()
            patience.wait_for_quiet()
            pairs.append(self._pair(server, backwards))
            if len(pairs) > 1:
                patience.left -= time.monotonic() - began
        for what, said in min(pairs, key=_others).items():
            self.rounds[what].append(said)

    def _pair(self, server, backwards):
        said = {}
        for what in ("copy", "agent") if backwards else ("agent", "copy"):
            arguments = [self.home, str(self.batch_rows)] if what == "agent" else [self.sent]
            said[what] = server.round(what, *arguments)
            if said[what]["stored"] != said[what]["rows"]:
                raise RuntimeError(f"{what}: {said[what]['rows']} rows sent, {said[what]['stored']} stored")
        return said

    def median(self, what, figure):
        """Return the median of *figure* over the rounds of *what*."""
        return statistics.median(figure(said) for said in self.rounds[what])

    @property
    def ratio(self):
        """How many times COPY's rows per second the agent's are: the median of the ratios of rounds beside each other."""
        return statistics.median(
            _per_second(agent) / _per_second(copy) for agent, copy in zip(self.rounds["agent"], self.rounds["copy"])
        )


def _others(pair):
    """Return how many cores everybody else used during the worse of two rounds."""
    return max((said["machine"] - said["cpu"] - said["server_cpu"]) / said["seconds"] for said in pair.values())


def _per_second(said):
    return said["rows"] / said["seconds"]


class Patience:
    """How many seconds may still be spent on waiting for others on this machine."""

    def __init__(self, seconds):
        self.left = seconds

    def wait_for_quiet(self):
        """Return when others have used little for a second, or patience is at its end."""
        while self.left > 0:
            before = machine_seconds()
            time.sleep(1)
            self.left -= 1
            if machine_seconds() - before <= QUIET:
                return


class Server:
    """An embedded server with a migrated template, and the processor time that its processes used."""

    def __init__(self, home):
        self._server = EmbeddedServer(home)
        self._dsn = self._server.start()
        self._admin = psycopg.connect(self._dsn, autocommit=True)
        self._admin.execute("CREATE DATABASE template")
        migrate(self._named("template"))

    def _named(self, name):
        return self._dsn.replace("dbname=flightlog", f"dbname={name}")

    def round(self, what, *arguments):
        """Run `bench.shipped` against a fresh database; return what it said, with `server_cpu` and `stored` added."""
        admin = self._admin
        admin.execute("CREATE DATABASE round TEMPLATE template")
        try:
            if what == "copy":
                self._partitions()
            admin.execute("CHECKPOINT")
            before = self._processor_seconds()
            command = [sys.executable, "-m", "bench.shipped", what, self._named("round"), *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, timeout=ROUND_SECONDS, check=True)
            said = json.loads(done.stdout)
            said["server_cpu"] = self._processor_seconds() - before
            with psycopg.connect(self._named("round")) as connection:
                counts = "SELECT (SELECT count(*) FROM pipeline_logs) + (SELECT count(*) FROM pipeline_events)"
                (said["stored"],) = connection.execute(counts).fetchone()
            return said
        finally:
            admin.execute("DROP DATABASE round WITH (FORCE)")

    def _partitions(self):
        from flightlog.store import partitions

        with psycopg.connect(self._named("round"), autocommit=True) as connection:
            partitions.ensure_ahead(connection)

    def _processor_seconds(self):
        """Return what all processes of the server used so far, those that have ended included."""
        pid = self._server.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        ticks = sum(_ticks(pid)[:4]) + sum(sum(_ticks(child)[:2]) for child in children)
        return ticks / _TICK

    def close(self):
        """Stop the server."""
        self._admin.close()
        self._server.stop(immediate=True)


def _ticks(pid):
    """Return utime, stime, cutime, cstime of a process; zeros when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    return [int(field) for field in fields[11:15]]


def measure(rounds=ROUNDS, batches=BATCHES):
    """Run all rounds; return the cases."""
    folder = tempfile.mkdtemp(prefix="flightlog-bench-", dir="/tmp")
    os.chmod(folder, 0o711)
    server = None
    try:
        homes = {kind: os.path.join(folder, kind.split()[-1]) for kind in (RECORDS_KIND, LINES_KIND)}
        recording.records(homes[RECORDS_KIND], RECORDS)
        recording.captured(homes[LINES_KIND], RECORDS)
        server = Server(os.path.join(folder, "home"))
        cases = [Case(kind, home, batch) for kind, home in homes.items() for batch in batches]
        for case in cases:
            case.prepare(server)
        patience = Patience(PATIENCE_SECONDS)
        for number in range(rounds):
            for case in cases:
                case.run(server, patience, number % 2 == 1)
        return cases
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


def table(cases):
    """Return the Markdown table of *cases*."""
    lines = [
        "| rows a batch | agent, rows/s | COPY, rows/s | agent x COPY | agent, us/row | its server, us/row | COPY's client | COPY's server | agent's peak MB |",
        "|---:|" + "---:|" * 8,
    ]
    for case in cases:
        cells = [
            f"{case.batch_rows:,}",
            f"{case.median('agent', _per_second):,.0f}",
            f"{case.median('copy', _per_second):,.0f}",
            f"{case.ratio:.2f}",
        ]
        for what in ("agent", "copy"):
            for side in ("cpu", "server_cpu"):
                cells.append(f"{case.median(what, lambda said, side=side: said[side] / said['rows'] * 1e6):.1f}")
        cells.append(f"{case.median('agent', lambda said: said['megabytes']):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def aims(cases):
    """Return what was aimed at and what came out; of time, so that less is better."""
    return [
        (
            f"time of the agent x COPY, {case.kind}, {case.batch_rows:,} rows a batch (1.25 is 0.8 of its rows/s)",
            1 / case.ratio,
            1.25,
        )
        for case in cases
        if case.kind == RECORDS_KIND and case.batch_rows == DEFAULT_BATCH
    ]


def run():
    """Return the section."""
    cases = measure()
    disturbed = [_others({"agent": a, "copy": c}) for case in cases for a, c in zip(*case.rounds.values())]
    others, worst = max(0, statistics.median(disturbed)), max(0, *disturbed)
    by_kind = {kind: table([case for case in cases if case.kind == kind]) for kind in (RECORDS_KIND, LINES_KIND)}
    said = f"""Medians of {ROUNDS} interleaved rounds of {RECORDS:,} rows, each in a process of its own against a fresh database. Agent: from
segments in a spool to committed rows with their positions, counts and ledger. COPY: the same rows as the text that the agent made of them, in the same
transactions, from memory, into the same table with the same indexes. The embedded server flushes each commit to disk. Server and client share two cores:
the processor time of both, per row, is in the table (user and system; the server's is that of all its processes). Others on this machine used
{others:.0%} of a core in the median pair of rounds, {worst:.0%} in the worst; pairs in which they used more than {QUIET:.0%} were repeated while there was patience."""
    records = (
        f"Records of {recording.WRITERS} pipelines, half through `logging`, half native with none to three fields:"
    )
    lines = "Captured lines of one program's standard output:"
    parts = [said, records, by_kind[RECORDS_KIND], lines, by_kind[LINES_KIND], results.verdicts(aims(cases))]
    return "\n\n".join(parts)
