"""`flightlog journal cat` reads a spool without any database."""

import glob
import json
import os
import subprocess
import sys

import pytest

from flightlog.journal.writer import Writer


def cat(*arguments, **environment):
    command = [sys.executable, "-m", "flightlog", "journal", "cat", *arguments]
    return subprocess.run(command, env=dict(os.environ, **environment), capture_output=True, text=True, timeout=60)


def spool(tmp_path):
    writer = Writer(str(tmp_path))
    for i in range(3):
        writer.append(
            json.dumps({"k": "log", "t": 0, "lv": 20, "lg": "etl", "m": f"line {i}\x1b[31m", "r": "R"}).encode()
        )
    writer.close()
    return glob.glob(str(tmp_path / "*.seg"))[0]


def test_records_are_printed_and_cannot_steer_the_terminal(tmp_path):
    spool(tmp_path)
    done = cat(FLIGHTLOG_SPOOL=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "1970-01-01T00:00:00.000000Z INFO etl line 0\\x1b[31m"
    lines = [json.loads(line) for line in cat("-o", "jsonl", str(tmp_path)).stdout.splitlines()]
    assert [line["k"] for line in lines] == ["head", "log", "log", "log"]


def test_corrupt_bytes_are_declared_and_a_torn_end_is_no_error(tmp_path):
    path = spool(tmp_path)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:-5])
    torn = cat(path)
    assert (torn.returncode, "torn" in torn.stderr) == (0, True)
    broken = bytearray(data)
    broken[data.index(b"line 1")] ^= 1
    with open(path, "wb") as file:
        file.write(bytes(broken))
    corrupt = cat(path)
    assert (corrupt.returncode, "corrupt" in corrupt.stderr, "line 2" in corrupt.stdout) == (1, True, True)


def test_unknown_path_is_named_with_a_remedy(tmp_path):
    (tmp_path / "no.segment").write_text("x")
    for name, reason in (("nothing", "there is no such file"), ("no.segment", "is not a segment")):
        done = cat(str(tmp_path / name))
        assert done.returncode == 4
        assert f"Error: {tmp_path / name}" in done.stderr
        assert reason in done.stderr
        assert "Try:" in done.stderr


def test_a_spool_that_is_not_there_yet_is_no_error(tmp_path):
    done = cat(FLIGHTLOG_SPOOL=str(tmp_path / "spool"))
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing is recorded" in done.stderr
    assert json.loads(cat("-o", "json", FLIGHTLOG_SPOOL=str(tmp_path / "spool")).stdout) == {"v": 1, "records": []}


def test_json_is_one_document_and_nothing_in_it_can_steer_the_terminal(tmp_path):
    spool(tmp_path)
    done = cat("-o", "json", str(tmp_path))
    data = json.loads(done.stdout)
    assert (data["v"], [record["k"] for record in data["records"]]) == (1, ["head", "log", "log", "log"])
    writer = Writer(str(tmp_path / "evil"))
    writer.append(json.dumps({"k": "log", "t": 0, "lv": 20, "m": "a\u202eb\x9b\x7f"}, ensure_ascii=False).encode())
    writer.close()
    for form in ("short", "json", "jsonl"):
        assert not set(cat("-o", form, str(tmp_path / "evil")).stdout) & {"\u202e", "\x9b", "\x7f"}


def test_records_with_strange_content_are_shown_and_stop_nothing(tmp_path):
    writer = Writer(str(tmp_path))
    strange = [
        {"k": "log", "m": "few keys"},
        {"k": "log", "lv": "high", "m": None, "x": [1], "t": 10**40},
        {"k": "event", "x": 3, "t": "soon"},
        {"k": None},
        [1, 2],
        7,
    ]
    for record in strange:
        writer.append(json.dumps(record).encode())
    writer.append(b"{no json")
    writer.append(b"\xff\xfe")
    writer.append(b"[" * 200_000)
    writer.append(b'{"k":"log","m":"\\ud800"}')
    numbers = [b"1e400", b"NaN", b"-Infinity", b"1" * 5000, b"[" * 300 + b"]" * 300, b"[" * 960 + b"]" * 960]
    for number in numbers:
        writer.append(b'{"k":"log","m":"number","x":{"n":%s}}' % number)
    writer.append(json.dumps({"k": "log", "t": 0, "lv": 20, "m": "last"}).encode())
    writer.close()
    for output in ("short", "json", "jsonl"):
        done = cat("-o", output, str(tmp_path))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr[-500:]
        assert "few keys" in done.stdout
        assert "last" in done.stdout
        if output == "jsonl":
            for line in done.stdout.splitlines():
                if line.count("[") < 500:  # this reader's own limit
                    json.loads(line, parse_constant=pytest.fail)
    assert len(cat(str(tmp_path)).stdout.splitlines()) == len(strange) + len(numbers) + 6
