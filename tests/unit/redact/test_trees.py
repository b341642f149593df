"""Fields by name and by look, at any depth; command lines; names that are no secrets."""

import pytest

from flightlog import redact

M = redact.MASK


@pytest.mark.parametrize(
    "given, left",
    [
        ({"db_password": "x", "n": 1}, {"db_password": M, "n": 1}),
        ({"Api-Key": 5, "token": None, "PGPASSWORD": True}, {"Api-Key": M, "token": None, "PGPASSWORD": M}),
        ({"a": {"b": [{"Session.ID": "x"}]}}, {"a": {"b": [{"Session.ID": M}]}}),
        ({"credentials": {"user": "x", "pin": 1}}, {"credentials": M}),
        ({"max_tokens": 5, "token-count": 6, "secretary": "Ann", "tokenizer": "bpe"},) * 2,
        ({"url": "postgres://u:x@h"}, {"url": f"postgres://u:{M}@h"}),
        ({"postgres://u:x@h": 1}, {f"postgres://u:{M}@h": 1}),
        ({"headers": [["Authorization", "x"], ("Host", "y")]}, {"headers": [["Authorization", M], ["Host", "y"]]}),
        (
            [{"name": "PASSWORD", "value": "x"}, {"key": "n", "value": 1}],
            [{"name": "PASSWORD", "value": M}, {"key": "n", "value": 1}],
        ),
        ({"argv": ["mysql", "--password", "x y", "-v"]}, {"argv": ["mysql", "--password", M, "-v"]}),
        ({"env": ["A=1", "DB_PASSWORD=x y,z"]}, {"env": ["A=1", f"DB_PASSWORD={M}"]}),
        (
            {"pass": "x", "auth": ["u", "p"], "passes": 3, "author": "Ann"},
            {"pass": M, "auth": M, "passes": 3, "author": "Ann"},
        ),
    ],
)
def test_fields(given, left):
    before = repr(given)
    assert redact.fields(given) == left
    assert repr(given) == before  # what is given is the program's own
    assert redact.fields(left) == left


def test_what_is_too_deep_to_look_at_is_masked():
    tree = "password=x"
    for _ in range(100):
        tree = [tree]
    assert "=x" not in repr(redact.fields(tree))


@pytest.mark.parametrize(
    "given, left",
    [
        (["prog", "--password", "x", "-v"], ["prog", "--password", M, "-v"]),
        (["prog", "--password=x y", "--host=h"], ["prog", f"--password={M}", "--host=h"]),
        (["prog", "--token", "--verbose"], ["prog", "--token", "--verbose"]),
        (
            ["env", "PGPASSWORD=x y", "psql", "postgres://u:x@h"],
            ["env", f"PGPASSWORD={M}", "psql", f"postgres://u:{M}@h"],
        ),
        (["curl", "-H", "Authorization: Bearer x"], ["curl", "-H", f"Authorization: {M}"]),
        (["sh", "-c", "login --password x; true"], ["sh", "-c", f"login --password {M}; true"]),
        (["--token", "x"], ["--token", M]),
        (["prog"], ["prog"]),
        ([], []),
        (["mysql", "-phunter2"], ["mysql", "-phunter2"]),  # out of reach, and documented so
    ],
)
def test_command_lines(given, left):
    assert redact.fields(given) == left


def test_the_configuration_adds_and_takes_away():
    try:
        redact.configure(
            {
                "keys": ["customer-ssn"],
                "allow": ["token_budget"],
                "patterns": [{"pattern": r"acct-(\d{6,12})", "literal": "acct-"}],
            }
        )
        assert redact.fields({"CustomerSSN": "x", "token_budget": 5}) == {"CustomerSSN": M, "token_budget": 5}
        assert (
            redact.text("customer_ssn: x token_budget=5 acct-1234567") == f"customer_ssn: {M} token_budget=5 acct-{M}"
        )
        assert [rule for _, _, rule in redact.find("acct-1234567")] == ["pattern-1"]
        redact.configure({"enabled": False})
        assert redact.text("password=x") == "password=x" and redact.fields({"password": "x"}) == {"password": "x"}
    finally:
        redact.configure(None)
    assert redact.text("password=x acct-1234567") == f"password={M} acct-1234567"


@pytest.mark.parametrize(
    "junk",
    [None, 5, [], {"keys": 5, "patterns": "x"}, {"patterns": [None, {"pattern": "["}, {}]}, {"keys": [None, ""]}],
)
def test_settings_that_are_none_are_the_defaults(junk):
    try:
        redact.configure(junk)
        assert redact.text("password=x, n=1") == f"password={M}, n=1"
    finally:
        redact.configure(None)


def test_a_pattern_is_matched_in_pieces_that_overlap():
    try:
        redact.configure(
            {"patterns": [{"pattern": r"<[a-z]{1,4000}>", "literal": ""}, {"pattern": r"run-\d+", "literal": "run-"}]}
        )
        for at in (0, 4200, 8190, 8192, 12_287, 12_288):
            text = " " * at + "<" + "x" * 4000 + ">" + " " * 9000
            assert redact.text(text) == " " * at + M + " " * 9000
        assert redact.text(" " * 8000 + "run-" + "7" * 50_000 + " run-1") == " " * 8000 + M + " " + M
    finally:
        redact.configure(None)
