"""`flightlog redact` as a user types it."""

import json
import os
import subprocess
import sys

from acceptance import running


def redact(tmp_path, *arguments, stdin="", config=None):
    if config is not None:
        (tmp_path / "config.yml").write_text(config)
    env = running.environment(tmp_path / "home")
    command = [sys.executable, "-m", "flightlog", "redact", *arguments]
    done = subprocess.run(command, input=stdin.encode(), env=env, cwd=tmp_path, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_standard_input_is_shown_as_it_would_be_stored(tmp_path):
    status, out, err = redact(tmp_path, "--test", stdin="first\nlogin password=hunter2 ok\n")
    assert (status, out) == (0, "first\nlogin password=[redacted] ok\n")
    assert err.splitlines()[1].split() == ["assigned", "2", "16", "7"]
    assert redact(tmp_path, "--test", "-", stdin="plain") == (0, "plain\n", "nothing is masked\n")


def test_nothing_steers_the_terminal(tmp_path):
    assert redact(tmp_path, "--test", stdin="a\x1b[31m\x07b")[1] == "a\\x1b[31m\\x07b\n"


def test_json_says_where_and_never_what(tmp_path):
    status, out, _ = redact(
        tmp_path,
        "--test",
        "-o",
        "json",
        "postgres://u:hunter2@h and acct-123456",
        config="logging:\n  redact:\n    patterns: ['acct-\\d{6}']\n",
    )
    assert status == 0 and "hunter2" not in out
    assert json.loads(out) == {
        "v": 1,
        "stored": "postgres://u:[redacted]@h and [redacted]",
        "changed": True,
        "hits": [{"rule": "url-userinfo", "begin": 13, "end": 20}, {"rule": "pattern-1", "begin": 27, "end": 38}],
    }


def test_the_list_says_where_each_rule_comes_from(tmp_path):
    text = "logging:\n  redact:\n    keys: [customer_ssn]\n    patterns:\n      - acct-\\d{6}\n"
    status, out, _ = redact(tmp_path, "--list", "-o", "json", config=text)
    rules = json.loads(out)["rules"]
    path = os.path.join(str(tmp_path), "config.yml")
    assert status == 0
    assert {"rule": "key", "finds": "password", "from": "built in"} in rules
    assert {"rule": "key", "finds": "customer_ssn", "from": f"{path}:3"} in rules
    assert {"rule": "pattern-1", "finds": "acct-\\d{6}", "from": f"{path}:5"} in rules
    assert "customer_ssn" in redact(tmp_path, "--list")[1]


def test_switched_off_is_said(tmp_path):
    status, out, err = redact(tmp_path, "--list", config="logging:\n  redact:\n    enabled: false\n")
    assert status == 0 and "switched off" in err
    assert redact(tmp_path, "--test", "password=x")[1] == "password=x\n"


def test_wrong_use_and_wrong_files(tmp_path):
    assert redact(tmp_path)[0] == 2
    assert redact(tmp_path, "--test", "--list")[0] == 2
    assert redact(tmp_path, "--list", "text")[0] == 2
    status, _, err = redact(tmp_path, "--test", "x", config="logging:\n  redact:\n    patterns: ['(a+)+b']\n")
    assert status == 2 and "config.yml:3: logging.redact.patterns" in err and "Try:" in err
