"""The golden files of format version 1: what the document says, what our reader reads and what the command prints is the same.

The small reader here is made from docs/reference/journal-format.md alone and imports nothing of flightlog: when it disagrees, the
document and the code have parted.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib

import pytest

from flightlog.journal import capture, mark, reader
from flightlog.journal.format import salt_of

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "journal")


def content(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


EXPECTED = [json.loads(line) for line in content("expected.jsonl").decode("utf-8").split("\n") if line]
FILES = [item["file"] for item in EXPECTED if "sha256" in item]
SEGMENTS = [name for name in FILES if name.endswith(".seg")]
CAPTURE = "88" * 16


def expected_of(name, key):
    return [item for item in EXPECTED if item["file"] == name and key in item]


# -- the reader made from the document ----------------------------------------------------------------------------------


def valid_frame(data, position, writer):
    """Section 2 and 5: return (end, n, payload), or None."""
    if position + 16 > len(data):
        return None
    crc, tag_and_length, n = struct.unpack_from("<IIQ", data, position)
    end = position + 16 + (tag_and_length & 0xFFFFFF)
    if tag_and_length >> 24 != 0xA7 or end > len(data):
        return None
    payload = data[position + 16 : end]
    if zlib.crc32(payload, zlib.crc32(bytes.fromhex(writer))) ^ (n & 0xFFFFFFFF) != crc:
        return None
    return end, n, payload


def read_as_the_document_says(data, writer):
    """Yield (offset, end, n, record) and, for bytes that are no frame, (offset, end, word)."""
    position = 0
    while position < len(data):
        found = valid_frame(data, position, writer)
        if found:
            yield position, found[0], found[1], json.loads(found[2])
            position = found[0]
            continue
        behind = [q for q in range(position + 1, len(data)) if valid_frame(data, q, writer)]
        end = behind[0] if behind else len(data)
        yield position, end, "corrupt" if behind else "tail"
        position = end


def parts_as_the_document_says(data):
    """Section 9: return [reference, bytes] pairs; the reference of raw bytes is empty."""
    parts, raw, position = [], b"", 0
    while position < len(data):
        if data.startswith(b"\x1b_fl;", position) and b"\x1b\\" in data[position:]:
            end = data.index(b"\x1b\\", position)
            fields = data[position + 5 : end].split(b";")
            if len(fields) == 3 and len(fields[2]) == 8 and fields[1].isdigit() and int(fields[1]) <= 1 << 20:
                text = data[end + 2 : end + 2 + int(fields[1])]
                if len(text) == int(fields[1]) and b"%08x" % zlib.crc32(text) == fields[2]:
                    parts += [("", raw)] if raw else []
                    parts.append((fields[0].decode(), text))
                    raw, position = b"", end + 2 + len(text)
                    continue
        raw += data[position : position + 1]
        position += 1
    return parts + ([("", raw)] if raw else [])


# -- three readers, one answer ------------------------------------------------------------------------------------------


def test_files_are_as_they_were_and_all_are_listed():
    there = {name for name in os.listdir(FOLDER) if name[:1].isdigit()}
    assert there == set(FILES)
    for item in EXPECTED:
        if "sha256" in item:
            assert hashlib.sha256(content(item["file"])).hexdigest() == item["sha256"], item["file"]


@pytest.mark.parametrize("name", SEGMENTS)
def test_reader_made_from_the_document_finds_what_is_expected(name):
    found = []
    for item in read_as_the_document_says(content(name), name[:32]):
        keys = ("offset", "end", "n", "record") if len(item) == 4 else ("offset", "end", "bad")
        found.append(dict(zip(keys, item), file=name))
    assert found == expected_of(name, "offset")


@pytest.mark.parametrize("name", SEGMENTS)
def test_our_reader_finds_what_is_expected(name):
    found = list(reader.read_segment(os.path.join(FOLDER, name), salt_of(name[:32])))
    expected = expected_of(name, "offset")
    assert [item[:3] for item in found] == [(e["offset"], e["end"], e.get("n", -1)) for e in expected]
    assert [payload and json.loads(payload) for _, _, _, payload in found] == [e.get("record") for e in expected]


@pytest.mark.parametrize("limit", [1, 64, 700])
def test_our_reader_in_small_steps_finds_the_same(limit):
    for name in SEGMENTS:
        fd = reader.open_segment(os.path.join(FOLDER, name))
        ends, offset = [], 0
        while True:
            chunk = reader.read_chunk(fd, salt_of(name[:32]), offset, limit)
            ends += [end for end, _, _ in chunk.frames]
            if chunk.stop in (reader.END, reader.PARTIAL):
                break
            offset = chunk.resume if chunk.stop == reader.DAMAGE else chunk.next
        os.close(fd)
        assert ends == [e["end"] for e in expected_of(name, "record")]


def test_command_prints_the_same_records_and_declares_damage():
    command = [sys.executable, "-m", "flightlog", "journal", "cat", "-o", "json", FOLDER]
    done = subprocess.run(command, capture_output=True, timeout=60)
    expected = [dict(e["record"], writer=e["file"][:32], n=e["n"]) for e in EXPECTED if "record" in e]
    assert json.loads(done.stdout)["records"] == expected
    assert done.returncode == 1
    short = subprocess.run([*command[:-3], FOLDER], capture_output=True, timeout=60)
    assert len(short.stdout.splitlines()) == len(expected)
    assert short.stderr == done.stderr
    words = done.stderr.decode()
    assert words.count("corrupt") == len([e for e in EXPECTED if e.get("bad") == "corrupt"]) == 2
    assert words.count("torn") == len([e for e in EXPECTED if e.get("bad") == "tail"]) == 3


def test_capture_comes_apart_as_expected():
    stream = b"".join(content(name) for name in FILES if name.endswith(".cap"))
    (item,) = [e for e in EXPECTED if "parts" in e]
    expected = [(reference, text.encode("latin-1")) for reference, text in item["parts"]]
    assert parts_as_the_document_says(stream) == expected
    splitter = mark.Splitter()
    found = []
    for byte in range(len(stream)):  # in the smallest pieces there are
        found += splitter.feed(stream[byte : byte + 1])
    found += splitter.flush()
    joined = []
    for reference, text in found:
        if joined and not reference and not joined[-1][0]:
            text = joined.pop()[1] + text
        joined.append((reference.decode(), text) if reference else ("", text))
    assert joined == expected


def test_index_and_meta_of_a_capture_are_as_expected():
    for item in EXPECTED:
        if "entries" in item:
            data = content(item["file"])
            entries = [list(struct.unpack_from("<QQQ", data, at)) for at in range(0, len(data) - 23, 24)]
            assert entries == item["entries"]
            read = capture.read_index(os.path.join(FOLDER, item["file"]))
            assert read == [(end, wall) for end, wall, _ in entries]
    (item,) = [e for e in EXPECTED if "meta" in e]
    assert json.loads(content(CAPTURE + ".meta")) == item["meta"]
