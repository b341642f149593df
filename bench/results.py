"""bench/RESULTS.md: one section per benchmark between markers, so that a run of one leaves the others as they are.

Owns: the file's frame, the markers, and the line saying when and on which machine a section was measured (per section:
they may come from different days). Replaces the file by rename. Leaves what a section says to its module.
"""

import datetime
import os
import platform
import re

from . import SECTIONS

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "RESULTS.md")
HEAD = """# Measurements

Written by `make bench`; edit nothing between the markers. Figures depend on the machine, so aims are ratios within one run.
"""


def machine():
    """Return the processor, the cores this process may use, kernel and Python in one line."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {cores} cores, {platform.system()} {platform.release()}, {python}"


def wrapped(name, title, body, when=None, where=None):
    """Return a section with its markers; *when* (UTC) and on which machine it was measured, if not now and here."""
    when = when or datetime.datetime.now(datetime.timezone.utc)
    said = f"Measured {when:%Y-%m-%d %H:%M} UTC on {where or machine()}."
    return f"<!-- {name} -->\n## {title}\n\n{said}\n\n{body.strip()}\n<!-- /{name} -->\n"


def replaced(text, name, section):
    """Return *text* (the file so far, or empty) with the section *name* replaced or put in its place in the order."""
    found = dict(re.findall(r"(?s)<!-- (\w+) -->\n(.*?<!-- /\1 -->\n)", text))
    found = {known: f"<!-- {known} -->\n{rest}" for known, rest in found.items()}
    found[name] = section
    names = [known for known in SECTIONS if known in found] + sorted(set(found) - set(SECTIONS))
    return HEAD + "".join("\n" + found[known] for known in names)


def write(name, title, body, when=None, where=None):
    """Put a section's Markdown into the file."""
    try:
        with open(PATH) as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    with open(PATH + ".new", "w") as file:
        file.write(replaced(text, name, wrapped(name, title, body, when, where)))
    os.replace(PATH + ".new", PATH)


def verdicts(aims):
    """Return lines saying which aims are met. Each aim: (what, measured, most allowed)."""
    lines = ["| aim | measured | at most | |", "|---|---:|---:|---|"]
    for what, measured, most in aims:
        if measured is None:
            lines.append(f"| {what} | - | {most:g} | not measured |")
        else:
            lines.append(f"| {what} | {measured:.3g} | {most:g} | {'met' if measured <= most else '**missed**'} |")
    return "\n".join(lines)
