"""Secrets that go through the border of two captured lines, and what is known again after a restart anywhere."""

import pytest

from flightlog import redact
from flightlog.agent.captured_text import CapturedText
from flightlog.agent.lines import MAX_LINE_BYTES, interpret, split

KEY = [
    b"-----BEGIN RSA PRIVATE KEY-----",
    b"Proc-Type: 4,ENCRYPTED",
    b"",
    *[b"MIIhunter2" + b"A" * 54] * 12,
    b"-----END RSA PRIVATE KEY-----",
]
STREAM = (
    b"\n".join([b"before", *KEY, b"after", b"x" * (MAX_LINE_BYTES - 12) + b"password=hunter2 end", b"last"]) + b"\n"
)


def masked(data, text):
    return masked_lines(data, split(data, True)[0], text)


def masked_lines(data, lines, text):
    return [text.masked(line, interpret(line.raw)[1], data[line.end :]) for line in lines]


def test_a_key_over_many_lines_and_a_secret_through_a_cut():
    told = masked(STREAM, CapturedText())
    assert told[0] == "before" and told[-1] == "last" and "after" in told
    assert "hunter" not in "".join(told) and "MII" not in "".join(told)
    assert told[-2].endswith(" end") and told[-3].endswith("password=[redacted]")


def test_it_can_be_resumed_at_the_end_of_any_line():
    whole = masked(STREAM, CapturedText())
    lines, _ = split(STREAM, True)
    for number, line in enumerate(lines):
        text = CapturedText()
        text.resume(STREAM[max(0, line.end - 16_384) : line.end])
        assert masked_lines(STREAM, lines[number + 1 :], text) == whole[number + 1 :]


@pytest.mark.parametrize(
    "secret", [b"password=hunter2", b"postgres://u:hunter2hunter2@h", b"ghp_hunter2hunter2hunter2hunter2"]
)
def test_no_place_of_the_cut_leaves_a_piece(secret):
    for shift in range(1, len(secret)):
        data = b"x" * (MAX_LINE_BYTES - shift - 1) + b" " + secret + b" end\n"
        assert "hunter" not in "|".join(masked(data, CapturedText()))
        assert "ghp_hu" not in "".join(masked(data, CapturedText()))


def test_a_prompt_whose_answer_comes_later():
    text = CapturedText()
    (first,), _ = split(b"password: ", True)
    (second,), _ = split(b"hunter2\n", True)
    assert text.masked(first, "password: ", b"") == "password: "
    assert text.masked(second, "hunter2", b"") == redact.MASK
