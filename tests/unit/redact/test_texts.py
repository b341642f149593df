"""What is masked in a text and what is not; that the cheap tests let nothing slip; that masking again changes nothing."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog import redact
from flightlog.redact import keys, scan, shapes

S = "hunter2"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2==\n-----END RSA PRIVATE KEY-----"
# text -> what is left of it
MASKED = {
    "password=hunter2 host=x": "password=[redacted] host=x",
    "host=x password='hunter2 hunter2' port=1": "host=x password='[redacted]' port=1",
    "Pwd={hunter2;hunter2};Server=x": "Pwd=[redacted];Server=x",
    '{"password": "hunter2, hunter2", "n": 5}': '{"password": "[redacted]", "n": 5}',
    '{"a":{"apiKey":"hunter2"}}': '{"a":{"apiKey":"[redacted]"}}',
    r'{"body":"{\"token\": \"hunter2\", \"n\": 1}"}': r'{"body":"{\"token\": \"[redacted]\", \"n\": 1}"}',
    r"""{'pwd': 'hunter2\'hunter2', 'u': 1}""": "{'pwd': '[redacted]', 'u': 1}",
    "credentials: {'user': 'x', 'pin': 'hunter2'} after": "credentials: [redacted] after",
    "Config(user='x', db_password=b'hunter2')": "Config(user='x', db_password=b'[redacted]')",
    "('password', 'hunter2')": "('password', '[redacted]')",
    "['mysql', '--password', 'hunter2', '-v']": "['mysql', '--password', '[redacted]', '-v']",
    "mysql --password hunter2 --host x": "mysql --password [redacted] --host x",
    "mysql --password=hunter2 --host x": "mysql --password=[redacted] --host x",
    "PGPASSWORD=hunter2 psql": "PGPASSWORD=[redacted] psql",
    "GET /x?token=hunter2&n=1": "GET /x?token=[redacted]&n=1",
    "GET /x?q=password%3Dhunter2&n=1": "GET /x?q=password%3D[redacted]&n=1",
    "<a x='1'><password>hunter2 hunter2</password></a>": "<a x='1'><password>[redacted]</password></a>",
    "Cookie: a=hunter2; b=hunter2\nHost: x": "Cookie: [redacted]\nHost: x",
    "Set-Cookie: sid=hunter2; Path=/": "Set-Cookie: [redacted]",
    'Authorization: Digest username="x", response="hunter2"\nHost: x': "Authorization: [redacted]\nHost: x",
    "{'Authorization': 'Basic aHVudGVyMg=='}": "{'Authorization': '[redacted]'}",
    "sent Bearer hunter2hunter2 to x": "sent Bearer [redacted] to x",
    "BASIC aHVudGVyMjpodW50ZXIy": "BASIC [redacted]",
    "postgres://bob:hunter2@db:5432/x?m=a@b.c": "postgres://bob:[redacted]@db:5432/x?m=a@b.c",
    "postgres://bob:p@hunter2@db": "postgres://bob:[redacted]@db",
    "postgres://bob:hunter2/hunter2@db": "postgres://bob:[redacted]@db",
    "redis://:hunter2@h": "redis://:[redacted]@h",
    "https://hunter2hunter2hunter2@sentry.example/1": "https://[redacted]@sentry.example/1",
    "AKIAABCDEFGHIJKLMNOP": "[redacted]",
    "id ASIAABCDEFGHIJKLMNOP.": "id [redacted].",
    "AIza" + "x" * 35: "[redacted]",
    "ghp_abcdefghijklmnopqrstuv": "[redacted]",
    "github_pat_" + "a" * 40: "[redacted]",
    "glpat-abcdefghij1234567890": "[redacted]",
    "hf_abcdefghijklmnopqrstuv": "[redacted]",
    "xoxb-1234567890ab": "[redacted]",
    "xapp-1-1234567890ab": "[redacted]",
    "sk-abcdefghijklmnop": "[redacted]",
    "sk_live_abcdefghijklmnop": "[redacted]",
    "rk_test_abcdefghijklmnop": "[redacted]",
    "eyJhbGciOiJI.eyJzdWIi.sig": "[redacted]",
    KEY + " after": "[redacted] after",
    "-----BEGIN PRIVATE KEY-----\nhunter2": "[redacted]",
    "card 4111 1111 1111 1111 ok": "card [redacted] ok",
    "4111111111111111 23": "[redacted] 23",
    "amex 3782-822463-10005": "amex [redacted]",
    "5555555555554444,2223003122003222": "[redacted],[redacted]",
    "İ password=hunter2": "İ password=[redacted]",  # two characters in lower case
}
UNTOUCHED = [
    "",
    "loaded 5000 rows from s3://bucket/part-0001.parquet in 12.3 s",
    "tokens: 5 max_tokens=4 token_count: 17 tokenizer=bpe",
    'token=None pwd="" secret: null password=false',
    "http://host:8080/p?x=a@b",
    "mail bob@example.org or ssh git@github.com:x/y.git",
    "Basic authentication failed; bearer authentication is on",
    "authorization: denied",
    "keyboard: monkey, key=5, primary_key: id",
    "task_id=5 high weight_decay=0.1 disk-usage: 7 risk-averse-customer-segments",
    "4111111111111112 and 1763910000123456789 and 2026-11-23T16:40:00.123456Z",
    "tests pass: 3 fail: 1",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "['id', 'token', 'email']",
    "eyJhbGciOi and eyJ.x.y",
]


@pytest.mark.parametrize("text", MASKED)
def test_masked(text):
    assert redact.text(text) == MASKED[text]
    assert redact.raw(text.encode()).decode() == MASKED[text]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_left_alone(text):
    assert redact.text(text) == text
    assert redact.find(text) == []


AROUND = st.text(alphabet=string.ascii_lowercase + " /.", max_size=20)


@given(AROUND, st.sampled_from(sorted(MASKED)), AROUND)
def test_cheap_tests_let_nothing_slip(before, secret, after):
    text = f"{before} {secret} {after}"
    always = scan.masked(text, scan.spans(text, text.lower(), scan.ALL))
    assert redact.text(text) == always != text
    assert redact.text(always) == always  # masking again changes nothing
    assert S not in always


@given(st.text(max_size=200))
def test_any_text_at_all(text):
    masked = redact.text(text)
    assert redact.text(masked) == masked
    assert masked == scan.masked(text, redact.find(text))


SHORTEST = [
    "Basic 12345678",
    "xoxb-1234567890",
    "eyJ12345678.1234",
    "sk-1234567890123456",
    "AKIA1234567890ABCDEF",
    "ghp_12345678901234567890",
    "-----BEGIN PRIVATE KEY-----",
    "('pwd', 'hunter2')",
    "hf_12345678901234567890",
    "--token hunter2",
]


@pytest.mark.parametrize("text", SHORTEST)
def test_shortest_text_of_each_pattern_is_longer_than_what_counts_as_harmless(text):
    assert redact.text(text) != text
    assert len(text) > redact.HARMLESS_LENGTH


def test_every_word_is_found_in_text_by_one_of_the_triggers_or_is_for_fields_only():
    from flightlog.redact.assigned import TRIGGERS

    only_fields = {"csrf", "xsrf", "dsn", "connectionstring"}
    assert {word for word in keys.WORDS if not any(trigger in word for trigger in TRIGGERS)} == only_fields
    for word in set(keys.WORDS) - only_fields:
        assert redact.text(f"my_{word}_1=hunter2") == f"my_{word}_1=[redacted]"


@pytest.mark.parametrize("at", [8000, 8190, 8192, 16_380, 65_500])
@pytest.mark.parametrize(
    "secret", ["password=hunter2", "postgres://u:hunter2@h", "ghp_hunter2hunter2hunter2hunter2", KEY]
)
def test_no_place_in_a_long_text_hides_a_secret(at, secret):
    for shift in range(0, len(secret), 5):
        text = "x" * (at - shift) + " " + secret + " " + "y" * 9000
        assert S not in redact.text(text)


def test_cut_masks_the_half_of_a_secret_that_is_left():
    secret = "postgres://u:hunter2hunter2@h/db"
    for limit in range(90, 90 + len(secret)):
        assert "hunt" not in redact.cut("x" * 90 + " " + secret + " and more", limit)
    assert redact.cut("short", 10) == "short" and redact.cut("x" * 20, 10) == "x" * 10 + "..."


def test_a_value_as_long_as_one_likes_is_masked_to_its_end():
    for front in ("password=", "Bearer ", "sk-", "ghp_", "token: '", "eyJhbGciOiJI.", "Cookie: a="):
        assert redact.text(front + "a1" * 50_000).count("a1") == 0


def test_a_key_that_comes_line_by_line():
    block = redact.KeyBlock()
    lines = [
        "before",
        *KEY.splitlines(),
        "after password=hunter2",
        "-----BEGIN PRIVATE KEY-----",
        "MIIhunter2",
        "not a key's line!",
        "aGVsbG8=",
    ]
    told = [block.text(line) for line in lines]
    assert told == [
        "before",
        *["[redacted]"] * 3,
        "after password=[redacted]",
        *["[redacted]"] * 2,
        "not a key's line!",
        "aGVsbG8=",
    ]


def test_bytes_that_are_no_text():
    assert redact.raw(b"\xff\x00 password=hunter2 \xfe") == b"\xff\x00 password=[redacted] \xfe"


def test_no_shape_is_without_a_test():
    seen = {rule for text in MASKED for _, _, rule in redact.find(text)}
    assert {rule for _, rule, _ in shapes.SHAPES} | {
        "jwt",
        "private-key",
        "card-number",
        "url-userinfo",
        "assigned",
    } <= seen


def test_ids_are_no_card_numbers():
    """Seen: the id of a capture had thirteen decimal digits in a row with the right check digit, and its records named another one."""
    assert redact.text("98890991aa2541156974827dc49ca977") == "98890991aa2541156974827dc49ca977"
    choose = random.Random(20)
    for _ in range(3000):
        number = "".join(choose.choice("0123456789") for _ in range(12))
        for digit in "0123456789":  # one of them is the right check digit
            name = f"{choose.choice('abcdef')}4{number[1:]}{digit}{choose.choice('abcdef')}"
            assert redact.text(name) == name


def test_no_text_is_divided_inside_a_secret_or_between_it_and_its_name():
    for secret, wanted in MASKED.items():
        for shift in range(len(secret) + 1):
            value = "x" * (20_000 - shift) + " " + secret + " " + "y" * 9000
            place = redact.divide(value, 20_000)
            assert 0 < place <= 20_000
            assert wanted in redact.text(value[:place]) + redact.text(value[place:]), (secret, shift)
    assert redact.divide("password=" + "z" * 30_000, 20_000) == 0
