"""What people see: colour, escapes, sizes, tables."""

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.cli import output


@given(st.text(st.characters(codec="utf-8")))
def test_nothing_can_steer_a_terminal(text):
    shown = output.safe(text)
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") or character in "\n\t"
        assert character not in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    assert "\n" not in output.one_line(text)
    assert "\t" not in output.one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 😀", "plain é 日本 😀"),
        ("\x1b[31mred\x07\r", "\\x1b[31mred\\x07\\x0d"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\x9b2J\x7f\x00", "\\x9b2J\\x7f\\x00"),
        ("a\n\tb", "a\n\tb"),
        ("\U000e0001", "\\U000e0001"),
        ("👩\u200d🚀 a\u00a0b \ue0b0", "👩\u200d🚀 a\u00a0b \ue0b0"),
        ("\ud800", "\\ud800"),
    ],
)
def test_escapes(text, shown):
    assert output.safe(text) == shown


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "wish", "on"),
    [
        ({}, "auto", True),
        ({"NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", False),
        ({"TERM": "dumb"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({"FORCE_COLOR": "1"}, "never", False),
    ],
)
def test_colour_on_a_screen(monkeypatch, environment, wish, on):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert output.Paint(wish, Screen()).on is on


def test_colour_in_a_file(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert output.Paint("auto", io.StringIO())("x", "red") == "x"
    monkeypatch.setenv("FORCE_COLOR", "0")
    assert not output.Paint("auto", io.StringIO()).on
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert output.Paint("auto", io.StringIO())("x", "red") == "\x1b[31mx\x1b[0m"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0s"), (9.96, "10.0s"), (59.4, "59s"), (59.6, "60s"), (187, "3m07s"), (8040, "2h14m"), (273600, "3d04h")],
)
def test_durations(seconds, shown):
    assert output.duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5120.0 GiB")])
def test_sizes(count, shown):
    assert output.size(count) == shown


def test_tables_are_aligned_and_leave_out_what_can_be_spared(monkeypatch):
    rows = [["NAME", "N", "NOTE"], ["a", "1000", "a long note"], ["bb", "5", ""]]
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.table(rows, {1}) == ["NAME     N  NOTE", "a     1000  a long note", "bb       5"]
    monkeypatch.setenv("COLUMNS", "15")
    assert output.table(rows, {1}, (2,)) == ["NAME     N", "a     1000", "bb       5"]
    assert output.table(rows, {1})[1] == "a     1000  ..."
    assert all(len(line) <= 15 for line in output.table(rows, {1}))


def test_wide_characters_take_two_columns(monkeypatch):
    rows = [["NAME", "N"], ["日本", "1"], ["e\u0301", "2"], ["abc", "3"]]
    assert [line.rpartition(" ")[0] for line in output.table(rows, set())] == ["NAME ", "日本 ", "e\u0301    ", "abc  "]
    assert output.cut("日本語日本語", 8) == "日本..."
    assert output.columns_of("👩\u200d🚀") == 4
    monkeypatch.setenv("COLUMNS", "7")
    assert all(output.columns_of(line) <= 7 for line in output.table([["日本語", "日本語"]], set()))


def test_times_in_a_table_are_short():
    import datetime

    now = datetime.datetime.now(datetime.timezone.utc)
    assert output.moment(now, utc=True) == f"{now:%H:%M:%S}"
    old = now.replace(year=now.year - 1)
    assert output.moment(old, utc=True) == f"{old:%Y-%m-%d}"
    other = now.replace(month=1 if now.month > 1 else 2, day=5)
    assert output.moment(other, utc=True) == f"{other:%b %d %H:%M}"
