"""The tutorial, typed: its programs are written, its commands are executed in one shell, and what they print is what the page shows."""

import os
import re
import subprocess
import sys

import pytest

from unit.query.command import Command

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "tutorial.md")
BLOCK = re.compile(r"```(python)?\n(.*?)```\n", re.S)


def same(text):
    """*text* without what is another one each time: ids, times, figures, names of people and folders."""
    text = re.sub(r"\b01[0-9A-Z]{24}\b", "ULID", text)
    text = re.sub(r"\b(?=[0-9A-Z]*[A-Z])[0-9A-Z]{6}\b", "RUN", text)
    text = re.sub(r"\d{4}-\d\d-\d\d |\d\d:\d\d:\d\d(\.\d+)?", "TIME", text)
    text = re.sub(r"\(python parts.py in [^)]*\)|\w+ asked for it", "", text)
    text = re.sub(r"\d+(\.\d+)?m?s\b", "SECONDS", text)
    text = re.sub(r"\b\d+ of 60\b", "SOME of 60", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [
        line for line in lines if line and not line.startswith("ruled out")
    ]  # what can be ruled out depends on the machine


def steps(text):
    """Yield (command, what it prints)."""
    command, said = "", []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(said)
            command, said = line[2:], []
        else:
            said.append(line)
    yield command, "\n".join(said)


@pytest.mark.slow
def test_what_the_page_says_is_what_happens(home, tmp_path):
    environment = Command("", home).environment
    environment["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environment["PATH"]
    with open(PAGE, encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read())
    typed = 0
    for language, text in blocks:
        if language:
            name = re.match(r"# (\w+\.py)\n", text)[1]
            (tmp_path / name).write_text(text)
            continue
        for command, said in steps(text):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert same(done.stdout) == same(said), (command, done.stdout, done.stderr)
            typed += 1
    assert typed == 17
