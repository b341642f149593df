"""Patterns that are compiled when first used, and what a start loads."""

import re
import subprocess
import sys

from flightlog import later


def test_it_answers_like_a_compiled_one():
    found = later.pattern(r"(?P<n>\d+)", re.I)
    assert found.match("17x").group("n") == "17" and found.fullmatch("x") is None
    assert found.sub("-", "a1b22") == "a-b-" and found.groups == 1
    assert later.pattern(rb"x+").findall(b"axxbx") == [b"xx", b"x"]


def test_a_start_compiles_none_of_ours():
    program = (
        "import re; seen = []; make = re.compile\n"
        "re.compile = lambda *a: seen.append(a) or make(*a)\n"
        "import flightlog.identity, flightlog.config.switch, flightlog.config.flow, flightlog.process.verdict\n"
        "print(seen)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
