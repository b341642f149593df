"""Marks for what was said and kept, and the tables made of them. Pure."""

import re
import statistics

NOTES = """*Named*: the cause is in the system's own words: flightlog's verdict (and its evidence has the detail that matters: the message of the exception, the
failed assertion), a peer's log or state. An exit status or a signal counts for everybody where it is the cause. *Kept*: the program's last output is in what the
system stores. *Left*: processes of the program that were there after the system had been told to end. *Seconds*: from the start, or from
what was done to the program, to the words, the system's own start included; of the rows without a limit of time.

Fair notes. All three peers keep plain output whole, bursts of 400 KB included. supervisord's and honcho's words about exit statuses and signals are exact; where a signal
is the cause (SIGSEGV, SIGABRT, SIGXCPU, SIGPIPE) they name it as well as we do. circus logs that a process was reaped, and no more, at debug level; its
pub/sub event `reap` has the exit code for who subscribes. A traceback is in the output that the peers keep, and a person will read it there: "no" means that the system itself does not
say it. Where nobody outside can know better (a pipe in a shell without pipefail, 256 as an exit status), `ok` is right for everybody. supervisord ran with stopasgroup and killasgroup,
circus with stop_children. A daemon that forked away is left by supervisord, honcho and `flightlog run` alike: in the foreground we change nothing about that.
flightlog was run as `flightlog run`; by `flightlog start` where it had to stop a program itself."""


class Mark:
    """One system's marks for one program."""

    def __init__(self, program, system, found):
        self.program, self.system, self.found = program, system, found
        self.ours = system == "flightlog"
        if self.ours:
            detail = re.search(program.mentions, found.words) if program.mentions else True
            self.named = found.verdict in program.right and bool(detail)
        else:
            self.named = bool(re.search(program.told, found.words))
        self.kept = program.last in found.output
        wrong = self.ours and found.verdict not in (*program.right, "unknown", "")
        self.wrong = "proven and wrong" if wrong and found.confidence == "proven" else "wrong" if wrong else ""
        if self.ours and found.verdict in program.never:
            self.wrong = "must never be said"

    def cell(self):
        found = self.found
        parts = ["yes" if self.named else "**no**"]
        if self.ours:
            parts.append(f"{found.verdict or 'nothing'} ({found.confidence})")
        parts += [] if self.kept else ["output lost"]
        parts += [f"{found.left} left"] if found.left else []
        return ", ".join(parts)

    def line(self):
        words = " / ".join(self.found.words.splitlines())
        return f"{self.program.name:24} {self.system:12} {self.found.seconds:6.2f} s  {self.cell()} {self.wrong}  <{words[:200]}>"

    def facts(self):
        found = self.found
        facts = {"program": self.program.name, "system": self.system, "named": self.named, "kept": self.kept}
        facts.update(left=found.left, seconds=round(found.seconds, 2), verdict=found.verdict, wrong=self.wrong)
        return {**facts, "confidence": found.confidence, "words": found.words, "right": self.program.right}


def section(marks, died, lacking, systems):
    """Return the section in Markdown."""
    parts = [_sums(marks, systems)]
    if any(mark.ours for mark in marks):
        parts.append(_ours([mark for mark in marks if mark.ours]))
    if died:
        head = "| the supervisor was killed with -9 | program after 2 s | output of these 2 s | copies after its restart | left after it was told to end |"
        parts.append("\n".join([head, "|---|---|---|---:|---:|", *[one.row() for one in died]]))
    parts.append(NOTES)
    rows = ["| program | " + " | ".join(systems) + " |", "|---|" + "---|" * len(systems)]
    for name in dict.fromkeys(mark.program.name for mark in marks):
        cells = [mark.cell() for mark in marks if mark.program.name == name]
        rows.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    parts.append("\n".join(rows))
    if lacking:
        parts.append("Not run here: " + "; ".join(f"{name} ({why})" for name, why in lacking.items()) + ".")
    return "\n\n".join(parts)


def _sums(marks, systems):
    rows = [
        "| | cause named | last output kept | processes left | median seconds to the words |",
        "|---|---:|---:|---:|---:|",
    ]
    for system in systems:
        own = [mark for mark in marks if mark.system == system]
        named, kept, left = (
            sum(m.named for m in own),
            sum(m.kept for m in own),
            sum(m.found.left for m in own),
        )
        middle = statistics.median(mark.found.seconds for mark in own if mark.program.action != "hang")
        rows.append(f"| {system} | {named} of {len(own)} | {kept} of {len(own)} | {left} | {middle:.2f} |")
    return "\n".join(rows)


def _ours(marks):
    def names(word):
        return ", ".join(mark.program.name for mark in marks if mark.wrong == word) or "none"

    unknown = ", ".join(mark.program.name for mark in marks if not mark.named and not mark.wrong) or "none"
    return (
        f"Ours, proven and wrong: {names('proven and wrong')}. Said what must never be said: {names('must never be said')}. "
        f"Guessed wrong: {names('wrong')}. Unknown, or without the detail: {unknown}."
    )
