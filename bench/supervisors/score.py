"""Marks for what was said and kept, and the section made of them. Pure: whatever is claimed about a run comes from its record.

Owns: the marks, the tables, the notes. Leaves what is true of a program to `causes`.
"""

import re
import statistics

from .system import DEADLINE

WRONG = {
    "proven and wrong": "Proven and wrong",
    "must never be said": "Said what must never be said",
    "wrong": "Guessed wrong",
}
READING = """*Named*: the cause is in the system's own words: flightlog's verdict (and its evidence has the detail that matters: the message of the exception, the
failed assertion), a peer's log. An exit status or a signal counts for everybody where it is the cause, and where a convention gives the number one meaning (78, 127, 128 + n,
timeout's 124). *Kept*: the program's last output, of the burst all of it, is in what the system stores. *Left*: processes of the program that were there after
the system had been told to end. *Seconds*: from the start, or from what was done to the program, to the words, the system's own start and `flightlog why` included; of the programs that were not left to hang."""
SETUP = """How they were run. supervisord with stopasgroup and killasgroup; circus with stop_children and an `after_reap` hook that logs the exit code it is given (its own log says
"reaping process" only); honcho with PYTHONUNBUFFERED, and stopped by SIGINT, as Ctrl-C does it. flightlog by `flightlog run`, by `flightlog start` where it has to stop or keep a program, without an agent. For the programs that hang `hang.after: 3s` and
`hang.kill` were set for flightlog; the peers have none for programs that send them no heartbeats (circus's resource_watcher can restart what uses less CPU than a minimum, hung or idle alike; it was not used), so
these rows show a feature and not a race. A traceback is part of the output, and a person will read it there: "no" means that the system does not say it.
What supervisord starts inherits SIGPIPE and SIGXFSZ ignored, so that programs 16 and 53 end with an exit status there, of which it speaks the truth. Where nobody outside can know better (a pipe in a shell without pipefail, 256 as an exit status), `ok` is right for everybody."""


def judge(program, system, found):
    """Return the marks of one *system* for one *program*, as facts: `found` is its Outcome."""
    ours = system == "flightlog"
    wrong = ""
    if ours:
        detail = not program.mentions or re.search(program.mentions, found.words)
        named = found.verdict in program.right and bool(detail)
        if found.verdict not in (*program.right, "unknown", ""):
            wrong = "proven and wrong" if found.confidence == "proven" else "wrong"
        if found.verdict in program.never:
            wrong = "must never be said"
    else:
        named = bool(re.search(program.told, found.words))
    kept = program.last in found.output and len(found.output) >= program.least
    facts = {
        "program": program.name,
        "system": system,
        "named": named,
        "kept": kept,
        "wrong": wrong,
        "left": found.left,
    }
    facts.update(seconds=round(found.seconds, 2), characters=len(found.output), numeric=program.numeric)
    facts.update(action=program.action, least=program.least, right=program.right)
    return {**facts, "verdict": found.verdict, "confidence": found.confidence, "words": found.words}


def cell(mark):
    """Return one cell of the long table."""
    parts = ["yes" if mark["named"] else "**no**"]
    if mark["system"] == "flightlog":
        parts.append(f"{mark['verdict'] or 'nothing'} ({mark['confidence']})" if mark["verdict"] else "nothing")
    parts += [] if mark["kept"] else ["output lost"]
    parts += [f"{mark['left']} left"] if mark["left"] else []
    return ", ".join(parts)


def line(mark):
    """Return one line of progress."""
    words = " / ".join(mark["words"].splitlines())
    return f"{mark['program']:24} {mark['system']:12} {mark['seconds']:6.2f} s  {cell(mark)} {mark['wrong']}  <{words[:200]}>"


def section(record):
    """Return the section in Markdown."""
    marks, systems = record["marks"], record["systems"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    parts = [f"{versions}; {record['seconds'] / 60:.0f} minutes. {_load(record)}", _sums(marks, systems)]
    if not record["whole"]:
        parts[0] += f" Not a whole run: {len({mark['program'] for mark in marks})} programs of {record['programs']}."
    if record.get("note"):  # by hand, into the record
        parts[0] += f" {record['note']}"
    if any(mark["system"] == "flightlog" for mark in marks):
        parts.append(_ours([mark for mark in marks if mark["system"] == "flightlog"]))
    if record["survival"]:
        parts.append(_survival(record["survival"]))
    parts += [READING, SETUP, "What this run showed:\n\n" + "\n".join(f"- {one}" for one in _seen(marks, systems))]
    rows = ["| program | " + " | ".join(systems) + " |", "|---|" + "---|" * len(systems)]
    for name in dict.fromkeys(mark["program"] for mark in marks):
        own = {mark["system"]: cell(mark) for mark in marks if mark["program"] == name}
        rows.append(f"| {name.replace('_', ' ')} | " + " | ".join(own.get(one, "") for one in systems) + " |")
    parts.append("\n".join(rows))
    if record["lacking"]:
        parts.append("Not run here: " + "; ".join(f"{name} ({why})" for name, why in record["lacking"].items()) + ".")
    return "\n\n".join(parts)


def _load(record):
    others = record["others"]
    if not others:
        return ""
    middle = statistics.median(others)
    said = f"Between the programs others used {middle:.2f} of a core in the median, {max(others):.2f} at most"
    return said + (": a loaded machine, its seconds are worth little." if middle > 0.25 else ".")


def _sums(marks, systems):
    rows = [
        "| | cause named | last output kept | processes left | median seconds to the words |",
        "|---|---:|---:|---:|---:|",
    ]
    for system in systems:
        own = [mark for mark in marks if mark["system"] == system]
        if not own:
            continue
        named, kept, left = (sum(mark[what] for mark in own) for what in ("named", "kept", "left"))
        middle = statistics.median([mark["seconds"] for mark in own if mark["action"] != "hang"] or [0])
        rows.append(f"| {system} | {named} of {len(own)} | {kept} of {len(own)} | {left} | {middle:.2f} |")
    return "\n".join(rows)


def _ours(marks):
    said = [f"{text}: {_names(mark for mark in marks if mark['wrong'] == word)}." for word, text in WRONG.items()]
    unnamed = _names(mark for mark in marks if not mark["named"] and not mark["wrong"])
    lost = _names(mark for mark in marks if not mark["kept"])
    return f"Ours. {' '.join(said)} Unknown, or without the detail: {unnamed}. Last output lost: {lost}."


def _survival(rows):
    said = [
        "| killed with -9 | its program | copies after 2 s | kept of what it said in these 2 s | copies after its restart | left after it was told to end |"
    ]
    said.append("|---|---|---:|---|---:|---:|")
    for row in rows:
        name = row["system"]
        if name == "flightlog":
            name += ", every process of it" if row["everybody"] else ", its caretaker"
        if row.get("trouble"):
            said.append(f"| {name} | {row['program']} | {row['trouble']} | | | |")
            continue
        kept = f"{row['kept']} of {row['said']} lines" if row.get("said") else "nothing said" if "said" in row else ""
        said.append(f"| {name} | {row['program']} | {row['alive']} | {kept} | {row['copies']} | {row['left']} |")
    return "\n".join(said)


def _seen(marks, systems):
    """Yield sentences about what the run showed, where the peers did well first."""
    by = {name: [mark for mark in marks if mark["system"] == name] for name in systems}
    whole = [name for name in systems if by[name] and all(mark["kept"] for mark in by[name])]
    yield f"The last output of every program was kept by {_and(whole)}."
    for name in systems:
        lost = [mark for mark in by[name] if not mark["kept"]]
        if lost:
            yield f"{name} did not keep that of {_names(lost)}."
    bursts = [mark for mark in marks if mark["least"]]
    if bursts:
        size = bursts[0]["least"] // 1000
        yield f"A burst of {size} KB just before the end was kept whole by {_and([mark['system'] for mark in bursts if mark['kept']])}."
    numeric = {name: [mark for mark in by[name] if mark["numeric"]] for name in systems}
    count = max(map(len, numeric.values()), default=0)
    if count:
        told = ", ".join(f"{name} {sum(mark['named'] for mark in numeric[name])}" for name in systems)
        yield f"Of the {count} programs whose exit status or signal is the cause, named: {told}."
    for mark in marks:
        if mark["numeric"] and not mark["named"]:
            said = [one for one in mark["words"].splitlines() if re.search(r"exit|stopped|terminated|verdict", one)]
            yield f"{mark['system']} said of {_names([mark])}: " + (f"`{said[-1].strip()}`." if said else "nothing.")
    best = {mark["program"] for mark in by.get("flightlog", ()) if not mark["named"]}
    better = [mark for mark in marks if mark["program"] in best and mark["named"]]
    if by.get("flightlog"):
        yield f"Named by a peer and not by flightlog: {_names(better)}."
    for name in systems:
        quick = [mark for mark in by[name] if mark["action"] != "hang"]
        late = [mark for mark in quick if mark["seconds"] >= DEADLINE]
        if late:
            yield f"{name} had said nothing after {DEADLINE:.0f} seconds about {_names(late)}."
        left = [mark for mark in by[name] if mark["left"]]
        if left:
            yield f"{name} left processes of {_names(left)}."


def _names(marks):
    return ", ".join(dict.fromkeys(mark["program"].replace("_", " ") for mark in marks)) or "none"


def _and(names):
    return ", ".join(names) if names else "nobody"
