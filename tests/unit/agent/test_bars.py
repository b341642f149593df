"""A bar is folded into its last state, anything else keeps every word."""

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog import records
from flightlog.agent.bars import fold, is_state, so_far
from flightlog.agent.lines import interpret


@pytest.mark.parametrize(
    ("text", "shown", "said"),
    [
        (
            "  0%|  | 0/9\r 55%|# | 5/9\r100%|##| 9/9 [00:01]",
            "100%|##| 9/9 [00:01]",
            {"percent": 100, "done": 9, "total": 9, "updates": 2},
        ),
        ("\r 10 %\r 20 %", " 20 %", {"percent": 20, "updates": 1}),
        ("1,000/4,000\r2,000/4,000 rows", "2,000/4,000 rows", {"done": 2000, "total": 4000, "updates": 1}),
        ("12 MB/s\r14 MB/s\rdone", "done", {"updates": 2}),
        ("50%\r100%\r     ", "100%", {"percent": 100, "updates": 1}),
        ("one\rtwo\rthree", "one\rtwo\rthree", None),  # old line ends, no bar
        ("plain", "plain", None),
        ("only one state 5%\r", "only one state 5%", None),
        ("\r\r", "", None),
        ("5/0\r7/3\r9%", "9%", {"percent": 9, "updates": 2}),
    ],
)
def test_folding(text, shown, said):
    assert fold(text) == (shown, said)


def test_a_real_bar():
    """tqdm, as it writes to what is no terminal."""
    code = "import tqdm, time\nfor n in tqdm.tqdm(range(300), desc='rows', mininterval=0): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    (line,) = io.BytesIO(done.stderr).readlines()
    level, message, fields = interpret(line.rstrip(b"\n"))
    assert level == records.INFO and message.startswith("rows: 100%") and "\r" not in message
    assert fields["progress"]["done"] == fields["progress"]["total"] == 300 and fields["progress"]["updates"] > 10


@given(st.lists(st.text(alphabet="ab 5%/\t1", max_size=12), max_size=6))
def test_no_word_is_lost_but_those_of_a_bar(parts):
    text = "\r".join(parts)
    shown, said = fold(text)
    if said is None:
        assert shown == text or [part for part in parts if part.strip()] in ([shown], [])
    else:
        states = [part.strip() for part in text.split("\r") if part.strip()]
        assert shown.split("\n")[-1].strip() == states[-1]
        assert all(is_state(state) or state in shown for state in states)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"1%\r2%\r3%", 6),
        (b"1%\r2%\r", 0),  # the last one may be half of a line end: one state only
        (b"1%\r2%\r3%\r", 6),
        (b"one\rtwo\rthree", 0),
        (b"words", 0),
        (b"\r", 0),
        (b"", 0),
        (b"1%\r\x1b_fl;2%\r3%", 0),
    ],
)
def test_how_much_of_an_open_line_is_behind_a_bar(data, length):
    assert so_far(data) == length


def test_a_line_that_was_written_over_a_bar_says_its_level():
    level, message, fields = interpret(b"10%\r20%\r30%\rERROR: no rows")
    assert (level, message) == (records.ERROR, "ERROR: no rows") and fields["progress"]["percent"] == 30


def test_a_line_between_the_states_of_a_bar_is_kept():
    assert interpret(b"10%\r20%\rnote\r30%\r40%")[1] == "note\n40%"
