"""Bars of tqdm and rich in unmodified programs are progress: recorded under their description, and drawn as without us."""

import re
import sys

import pytest
import running

TQDM = """
import logging, sys, time, tqdm
from tqdm import trange
for _ in tqdm.tqdm(range(30), desc="slow", mininterval=0.01, bar_format="{desc} {n_fmt}/{total_fmt}"): time.sleep(0.04)
for outer in range(50):
    for _ in tqdm.tqdm(range(3), desc="short", bar_format="{desc}", leave=False): pass
with tqdm.tqdm(total=1000, desc="bytes", unit="B", mininterval=0, bar_format="{desc} {n_fmt}") as bar:
    bar.update(400.5)
    bar.set_description("renamed")
    bar.update(1)
for _ in tqdm.tqdm(range(5), desc="off", disable=True): pass
bar = trange(4, desc="left", bar_format="{desc}")
next(iter(bar))
print("end")
"""
RICH = """
import io, time
from rich.console import Console
from rich.progress import Progress, track
console = Console(file=io.StringIO(), width=80)
with Progress(console=console) as progress:
    first = progress.add_task("first", total=20)
    second = progress.add_task("second", total=None)
    for n in range(20):
        time.sleep(0.06)
        progress.advance(first)
        progress.update(second, advance=2)
for _ in track(range(5), description="tracked", console=console): pass
print("end")
"""


def bars(home):
    found = {}
    for record in running.records(home):
        if record.get("ev") == "progress":
            found.setdefault(record["x"]["bar"], []).append(record["x"])
    return found


def supervised(home, code, tmp_path, **more):
    script = tmp_path / "program.py"
    script.write_text(code)
    plain = running.run([sys.executable, str(script)], home, cwd=tmp_path)
    ours = running.run(
        running.kept([sys.executable, str(script)]), home, cwd=tmp_path, env=running.environment(home, **more)
    )
    assert ours[:2] == plain[:2] == (0, b"end\n")
    return plain[2], ours[2]


def test_tqdm(home, tmp_path):
    pytest.importorskip("tqdm")
    plain, ours = supervised(home, TQDM, tmp_path)
    numbers = re.compile(rb"\d+/|\r|\x1b\[A| +")  # how often it was drawn is the clock's business
    assert set(numbers.sub(b" ", ours).split()) == set(numbers.sub(b" ", plain).split())
    assert b"flightlog" not in ours
    found = bars(home)
    slow = found["slow"]
    assert (slow[-1]["done"], slow[-1]["total"], slow[-1]["closed"]) == (30, 30, True)
    assert 2 <= len(slow) <= 2 + slow[-1]["elapsed_ns"] // 500_000_000
    assert [one["done"] for one in slow] == sorted(one["done"] for one in slow) and slow[0]["done"] > 0
    assert len({one["id"] for one in slow}) == 1
    assert 1 <= len(found["short"]) <= 10 and found["short"][-1]["done"] == 3  # fifty of them
    (renamed,) = found["renamed"]
    assert (renamed["done"], renamed["total"], renamed["unit"]) == (401.5, 1000, "B")
    assert "off" not in found


def test_rich(home, tmp_path):
    plain, ours = supervised(
        home, RICH, tmp_path, PYTHONPATH=":".join(path for path in sys.path if "site-packages" in path)
    )
    assert ours == plain == b""
    found = bars(home)
    first, second = found["first"], found["second"]
    assert (first[-1]["done"], first[-1]["total"], first[-1]["closed"]) == (20, 20, True)
    assert 0 < first[0]["done"] < 20 and 2 <= len(first) <= 5
    assert (second[-1]["done"], second[-1]["total"]) == (40, None)
    assert found["tracked"][-1]["done"] == 5
