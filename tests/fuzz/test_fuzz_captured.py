"""Captured output, damaged: each byte is in one line or in one verified copy, whatever the pieces it is read in, and every line becomes a record."""

import json
import zlib

from campaign import rounds

from flightlog import redact
from flightlog.agent.captured_text import AHEAD_BYTES, CapturedText
from flightlog.agent.copytext import Clock
from flightlog.agent.decode import json_text
from flightlog.agent.lines import interpret, split
from flightlog.agent.rows import LOG_COLUMNS, LogRows
from flightlog.journal.mark import MAX_TEXT_BYTES, Splitter
from fuzz import corpus
from fuzz.bounds import bounded, watched
from fuzz.forms import DAYS, is_line
from fuzz.mutation import BLOCK, SEED, blocks, damaged, generator


def without_copies(data):
    """Return *data* less its verified copies, as section 9 of the document says."""
    rest, position = [], 0
    while True:
        begin = data.find(b"\x1b_fl;", position)
        if begin < 0:
            return b"".join([*rest, data[position:]])
        end = data.find(b"\x1b\\", begin)
        fields = data[begin + 5 : end].split(b";") if end > begin else []
        text = b""
        if len(fields) == 3 and fields[1].isdigit() and len(fields[1]) <= 7 and is_reference(fields[0]):
            text = data[end + 2 : end + 2 + int(fields[1])]
            right = len(text) == int(fields[1]) <= MAX_TEXT_BYTES and b"%08x" % zlib.crc32(text) == fields[2]
        else:
            right = False
        rest.append(data[position : begin if right else begin + 1])
        position = end + 2 + len(text) if right else begin + 1


def is_reference(word):
    writer, dot, n = word.partition(b".")
    plain = len(writer) == 32 and not writer.strip(b"0123456789abcdef")
    return plain and dot == b"." and n.isdigit() and 1 <= len(n) <= 19


def in_pieces(data, chance):
    """Return the lines as a tail finds them that reads a few bytes at a time, and waits for what is not whole yet."""
    lines, position, window = [], 0, chance.randrange(1, 200)
    while True:
        piece = data[position : position + window]
        last = position + window >= len(data)
        found, used = split(piece, last)
        lines += [line[::2] for line in found]  # without where it ends in the piece
        position += used
        if last:
            assert position == len(data)
            return lines
        if used == 0:
            window *= 2


def check(data, chance, rows):
    lines, used = split(data, True)
    assert used == len(data)
    raw = b"".join(line.raw + (b"" if line.partial else b"\n") for line in lines)
    assert raw == without_copies(data)
    assert in_pieces(data, chance) == [line[::2] for line in lines]
    splitter = Splitter()
    parts = [part for at in range(0, len(data), 7) for part in splitter.feed(data[at : at + 7])] + splitter.flush()
    assert b"".join(text for reference, text in parts if not reference) == raw
    memory = CapturedText()
    for line in lines:
        level, message, fields = interpret(line.raw)
        safe = memory.masked(line, message, data[line.end : line.end + AHEAD_BYTES])
        text = None if fields is None else json_text(redact.fields(fields))
        stored = is_line(rows.captured(corpus.RUN, 5, 1, 2, level, safe, "stdout", text, 0), LOG_COLUMNS)
        assert stored[8] == safe
        assert "\0" not in safe
        if text is not None:
            json.loads(text, parse_constant=_never)
            assert "\\u0000" not in text.replace("\\\\", "")  # behind an escaped backslash it is text


def _never(token):
    raise AssertionError(f"{token} is no JSON")


def test_damaged_output_is_taken_apart_without_loss():
    count = rounds(2 * BLOCK, 5 * BLOCK)
    rows = LogRows(corpus.WRITER, "node", 0, Clock(DAYS))
    with watched():
        for block in blocks(count):
            for index in block:
                chance = generator(index)
                data = corpus.output(chance)
                if chance.random() < 0.9:
                    data = damaged(chance, data, corpus.OUTPUTS)
                bounded(check, index, data, chance, rows, size=len(data))
    print(f"seed {SEED}: {count} streams")
