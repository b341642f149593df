"""Bars over several rows are one record that shows what the terminal shows; no byte is in two records, and no word is lost."""

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightlog.agent import screen
from flightlog.agent.lines import interpret, split

TWO = b"\rone 10%\n\rtwo 10%\x1b[A\rone 90%\n\rtwo 90%\x1b[A\rone 100%\n\rtwo 100%\x1b[A\n\n"
RICH = b"\x1b[?25la 10%\nb 20%\r\x1b[2K\x1b[1A\x1b[2Ka 50%\nb 60%\r\x1b[2K\x1b[1A\x1b[2Knote of a fault\na 100%\nb 100%\n\x1b[?25h"


def raws(data, final=True):
    return [line.raw for line in split(data, final)[0]]


def test_two_bars_are_one_record_between_others():
    found = raws(b"before\n" + TWO + b"after\n")
    assert (found[0], found[-1]) == (b"before", b"after") and len(found) <= 4
    level, message, fields = interpret(found[1])
    assert (level, message) == (20, "one 100%\ntwo 100%")
    assert fields["progress"]["bars"] == [{"percent": 100}, {"percent": 100}] and fields["progress"]["updates"] == 4


def test_a_line_above_the_bars_stays():
    found = raws(b"before\n" + RICH + b"after\n")
    assert found[0] == b"before" and found[-1].endswith(b"after")
    message = "\n".join(interpret(raw)[1] for raw in found)
    assert message == "before\nnote of a fault\na 100%\nb 100%\nafter"


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[31mred\x1b[0m 5%\nnext\n",
        b"1%\r2%\nnext\n",
        b"\x1b[?25lwaiting\nnext\n",
        b"plain\nnext\n",
    ],
)
def test_what_does_not_go_up_stays_lines(data):
    assert raws(data) == data.splitlines(keepends=False) if b"\r" not in data else len(raws(data)) == 2


def test_what_is_no_bar_keeps_every_word():
    message = interpret(b"menu\none\ntwo\x1b[2Athree\nfour")[1]
    assert message.split("\n") == ["menu", "one", "two", "three", "four"]


def test_one_that_never_ends_is_cut():
    endless = TWO[:-2] * 400
    found = raws(endless)
    assert max(raw.count(b"\n") for raw in found) <= screen.MAX_LINES and b"\n".join(found) == endless


TQDM = """
import sys, tqdm
bars = [tqdm.tqdm(total=30, desc=d, position=n, mininterval=0, ncols=60) for n, d in enumerate(('first', 'second', 'third'))]
for n in range(30):
    for bar in bars: bar.update()
for bar in reversed(bars): bar.close()
print('done', file=sys.stderr)
"""
RICH_PROGRAM = """
from rich.console import Console
from rich.progress import Progress
with Progress(console=Console(force_terminal=True, width=60), auto_refresh=False) as progress:
    tasks = [progress.add_task(name, total=30) for name in ('first', 'second', 'third')]
    for n in range(30):
        for task in tasks: progress.update(task, advance=1)
        if n == 9: progress.console.print('note: half way')
        progress.refresh()
print('done')
"""


@pytest.mark.parametrize("program", [TQDM, RICH_PROGRAM])
def test_real_bars(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    stream = done.stdout + done.stderr
    found = raws(stream)
    assert len(found) < 10 < stream.count(b"\n") and b"\n".join(found).strip(b"\n") == stream.strip(b"\n")
    told = [interpret(raw) for raw in found]
    shown = "\n".join(message for _, message, _ in told)
    assert shown.count("first") <= 2 and "100%" in shown and "done" in shown and "\x1b" not in shown
    assert "note: half way" in shown or program is TQDM
    assert any(len(fields["progress"].get("bars", ())) == 3 for _, _, fields in told if fields)


PIECES = [
    b"\rone 10%",
    b"\n",
    b"\x1b[A",
    b"\x1b[2A",
    b"plain\n",
    b"\x1b[?25l",
    b"\x1b[31mred\n",
    b"ValueError: x\n",
    b"\r\n",
    b"5/9",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, TWO, RICH]), max_size=14), st.data())
def test_however_they_came_the_same_records_come_out(parts, choose):
    stream = b"".join(parts)
    whole = raws(stream)
    buffer, got, position = b"", [], 0
    while position < len(stream):
        step = choose.draw(st.integers(1, 60))
        buffer += stream[position : position + step]
        position += step
        lines, used = split(buffer, position >= len(stream))
        got += [line.raw for line in lines]
        buffer = buffer[used:]
    assert got == whole
    assert b"\n".join(whole).rstrip(b"\n") == stream.rstrip(b"\n")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab5%\r\n\x1b[0129;ABCDGJKm ", max_size=80))
def test_any_drawing_is_drawn(text):
    message, said = screen.fold(text)
    assert said is None or io.StringIO(message).read().strip()
