"""Which patterns may be added, and the literal by which they are skipped; what a config file says about redaction, wrong values named by line."""

import re

import pytest

from flightlog.config.compiling import handed_on
from flightlog.config.patterns import literal_of
from flightlog.config.settings import load
from flightlog.errors import ConfigError


@pytest.mark.parametrize(
    "pattern, literal",
    [
        (r"acct-\d{6,12}", "acct-"),
        (r"\b\d{3}-\d{2}-\d{4}\b", ""),
        (r"cust_(\w+)", "cust_"),
        (r"(?:id )?ACME[A-Z]{2}\d{6}", "ACME"),
        (r"(?i)acct\d{3}", ""),
        (r"(?:\d{4}[- ]?){3}\d{4}", ""),
        (r"(?:\d{1,3}-){1,50}x", ""),
        (r"key=.{1,40};", "key="),
        (r"(foo|bar)-\d+", ""),
        (r"(?<=user )\d{6}", ""),
    ],
)
def test_allowed(pattern, literal):
    assert literal_of(pattern) == literal


@pytest.mark.parametrize(
    "pattern, words",
    [
        (r"(a+)+x", "without a bound"),
        (r"\w+@x", "without a bound"),
        (r"(?:ab)+", "without a bound"),
        (r"(?=\d+)a", "without a bound"),
        (r"x(?:a|b\d*)y", "without a bound"),
        (r"(?:a|ab|b){1,50}c", "many ways"),
        (r"\d{1,300}\d{1,300}x", "many ways"),
        (r"(?:a?b?){1,50}c", "many ways"),
        (r"(?:\d{1,3}){1,50}x", "many ways"),
        (r"[a-z]{1,64}[a-z0-9]{1,64}x", "many ways"),
        (r"(?i)[A-Z]{1,64}[a-z]{1,64}1", "many ways"),
        (r"(.)\1", "backreference"),
        (r"a++b", "before 3.11"),
        (r"(?>ab)", "before 3.11"),
        (r"a{0,3}", "empty text"),
        (r"x{5000}", "4096 characters"),
        (r"[", "no regular expression"),
        (r"x" * 300, "256"),
    ],
)
def test_refused(pattern, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        literal_of(pattern)


def written(tmp_path, text):
    path = tmp_path / "config.yml"
    path.write_text(text)
    return str(path)


def test_what_the_file_says_is_handed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_DSN", "password=x")
    text = "database:\n  dsn: password=x\nlogging:\n  level: info\n  redact:\n    keys: [customer_ssn]\n    allow:\n      - token_budget\n    patterns: ['acct-\\d{6}']\n"
    assert handed_on(load(written(tmp_path, text))) == {
        "logging": {
            "level": "INFO",
            "redact": {
                "enabled": True,
                "keys": ["customer_ssn"],
                "allow": ["token_budget"],
                "patterns": [{"pattern": r"acct-\d{6}", "literal": "acct-"}],
            },
        },
        "metrics": {"interval": 5.0},
        "rollout": {"percent": 100.0, "include": [], "exclude": [], "clear": True},
        "hang": {"after": 600.0, "kill": False, "kill_after": 60.0},
    }


@pytest.mark.parametrize(
    "lines, words",
    [
        (
            "    patterns:\n      - ok\n      - (a+)+x\n",
            ["config.yml:5", "logging.redact.patterns", "'(a+)+x'", "without a bound"],
        ),
        ("    patterns: [ok, 7]\n", ["config.yml:3", "= 7", "is no text"]),
        ("    patterns: x\n", [":3", "is no list"]),
        ("    keys:\n    - ab\n", [":4", "'ab'", "between 3 and 64"]),
        ("    keys: [pass word!]\n", [":3", "letters, digits"]),
        ("    enabled: 5\n", [":3", "neither true nor false"]),
        ("    key: [x]\n", [":3", "logging.redact.key", "is no setting"]),
        (f"    allow: [{', '.join(['abc'] * 101)}]\n", [":3", "more than 100"]),
    ],
)
def test_wrong_values_are_named(tmp_path, lines, words):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "logging:\n  redact:\n" + lines))
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def test_the_part_itself_is_no_value(tmp_path):
    with pytest.raises(ConfigError, match="is a section"):
        load(written(tmp_path, "logging:\n  redact: false\n"))
