"""Marks: however a stream is cut into pieces, its parts are the stream less its verified marks."""

from hypothesis import given
from hypothesis import strategies as st

from flightlog.journal import mark

WRITER = "0123456789abcdef" * 2


def parts_of(pieces):
    splitter = mark.Splitter()
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    raw = b"".join(text for reference, text in parts if not reference)
    return raw, b"".join(text for _, text in parts)


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=30)), max_size=8), st.lists(st.integers(1, 40), max_size=30)
)
def test_chunking_does_not_matter(texts, sizes):
    stream, raw, console = b"", b"", b""
    for n, (marked, text) in enumerate(texts):
        text = text.replace(b"\x1b", b"e")
        stream += (mark.make(WRITER, n, text) if marked else b"") + text
        raw += b"" if marked else text
        console += text
    pieces, rest = [], stream
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert parts_of([*pieces, rest]) == (raw, console)


def test_mark_that_does_not_fit_its_text_stays_visible():
    forged = mark.make(WRITER, 1, b"hello\n") + b"HELLO\n"
    assert parts_of([forged])[0] == forged


def test_lone_escape_at_the_end_is_given_back():
    assert parts_of([b"abc\x1b", b"_fl;"]) == (b"abc\x1b_fl;", b"abc\x1b_fl;")
