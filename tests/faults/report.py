"""What a campaign did, per fault: rounds, kills, records witnessed, lost, doubled, declared, and what was not run and why.

A plugin of pytest, switched on by this folder's conftest: prints a table at the end, and writes it to the file that FLIGHTLOG_FAULT_REPORT names
(`.json`: JSON, else Markdown). What was not run is never counted as passed.
"""

import datetime
import json
import os
import platform
import re
import sys

from campaign import LONG, SEED

NUMBERED = re.compile(r"test_(\d\d)_(\w+)")
COUNTS = ("rounds", "kills", "witnessed", "stored", "lost", "doubled", "declared")


class Tally:
    """What one test counts; `notes` are words for the report, `not_run` names parts that this machine cannot inject."""

    def __init__(self):
        self.rounds = self.kills = self.witnessed = self.stored = self.lost = self.doubled = self.declared = 0
        self.largest_agent = 0  # bytes of resident memory at most
        self.notes = []
        self.not_run = []

    def add(self, **counts):
        """Add to counts."""
        for name, value in counts.items():
            setattr(self, name, getattr(self, name) + value)


class Report:
    """Gathers what reports of tests carry; also where tests run in other processes (pytest-xdist)."""

    def __init__(self):
        self.faults = {}

    def take(self, report):
        """Take one report of pytest."""
        found = NUMBERED.search(report.nodeid)
        if found is None or "faults/" not in report.nodeid:
            return
        if report.skipped and not LONG and "only in make faults" in str(report.longrepr):
            return  # a slice is not to name all that it leaves out
        number, name = found.groups()
        fault = self.faults.setdefault(
            number, dict.fromkeys(COUNTS, 0) | {"fault": name, "outcome": "", "seconds": 0.0, "agent_mib": 0}
        )
        fault.setdefault("not_run", [])
        fault.setdefault("notes", [])
        fault["seconds"] += report.duration
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            part = report.nodeid.partition("[")[2].rstrip("]")
            fault["not_run"].append((part + ": " if part else "") + reason.removeprefix("Skipped: "))
        elif report.failed:
            fault["outcome"] = "FAILED"
        elif report.when == "call" and not fault["outcome"]:
            fault["outcome"] = "passed"
        if report.when != "call":
            return
        for key, value in report.user_properties:
            if key != "fault":
                continue
            for name in COUNTS:
                fault[name] += value[name]
            fault["agent_mib"] = max(fault["agent_mib"], value["largest_agent"] >> 20)
            fault["not_run"] += value["not_run"]
            fault["notes"] += [note for note in value["notes"] if note not in fault["notes"]]

    def rows(self):
        """Return (number, fault) in order; without an outcome nothing of it was run."""
        for number in sorted(self.faults):
            fault = self.faults[number]
            if not (LONG or fault["outcome"] or fault["not_run"]):
                continue  # not in this slice
            yield number, dict(fault, outcome=fault["outcome"] or "NOT RUN")

    def as_json(self):
        """Return everything as JSON text."""
        data = {"seed": SEED, "long": LONG, "faults": dict(self.rows()), **_machine()}
        return json.dumps(data, indent=1) + "\n"

    def as_markdown(self):
        """Return everything as a page."""
        machine = _machine()
        where = f"Python {machine['python']}, Linux {machine['kernel']}, {machine['cores']} cores"
        lines = [
            "# Fault campaign",
            "",
            f"{machine['at']}, seed {SEED}, {'whole' if LONG else 'slice'}; {where}. Repeat: `FLIGHTLOG_FAULT_SEED={SEED} make faults`.",
            "",
            "Lost: witnessed outside, and neither stored nor declared. Declared: said by the audit to be dropped, corrupt or a dead letter.",
            "Doubled: stored twice. What is not run is named, with the reason.",
            "",
            "| # | fault | outcome | rounds | kills | witnessed | stored | declared | lost | doubled | agent MiB | s |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for number, fault in self.rows():
            lines.append(
                f"| {number} | {fault['fault'].replace('_', ' ')} | {fault['outcome']} | {fault['rounds']} | {fault['kills']} | {fault['witnessed']} "
                f"| {fault['stored']} | {fault['declared']} | {fault['lost']} | {fault['doubled']} | {fault['agent_mib'] or ''} | {fault['seconds']:.1f} |"
            )
        notes = [(n, f"not run: {reason}") for n, fault in self.rows() for reason in fault["not_run"]]
        notes += [(n, note) for n, fault in self.rows() for note in fault["notes"]]
        lines += ["", *[f"- {number}: {note}" for number, note in sorted(notes)]]
        return "\n".join(lines) + "\n"

    def write(self):
        """Write it to where FLIGHTLOG_FAULT_REPORT says; return that."""
        path = os.environ.get("FLIGHTLOG_FAULT_REPORT", "")
        if path and self.faults:
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.as_json() if path.endswith(".json") else self.as_markdown())
        return path

    def summary(self):
        """Return the lines for the end of a session."""
        for number, fault in self.rows():
            counts = ", ".join(f"{fault[name]} {name}" for name in COUNTS if fault[name] or name in ("lost", "doubled"))
            yield f"{number} {fault['fault']:<28.28} {fault['outcome']:<8} {counts}"
            for reason in fault["not_run"]:
                yield f"   NOT RUN {reason}"
            for note in fault["notes"]:
                yield f"   {note}"


def _machine():
    return {
        "at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "platform": sys.platform,
    }
