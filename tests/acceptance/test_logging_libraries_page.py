"""The programs of docs/howto/logging-libraries.md record what the page says, as people see it: shipped, by `flightlog logs`."""

import os
import re
import subprocess
import sys

import pytest

import flightlog
from unit.query.command import Command

PAGE = os.path.join(os.path.dirname(flightlog.__file__), "..", "..", "docs", "howto", "logging-libraries.md")
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
CLOCK = re.compile(r"^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3} ", re.MULTILINE)


def lines(text):
    """What a test compares: without times, and however wide the columns are."""
    return [re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in CLOCK.sub("", text).splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_every_example_records_what_the_page_says(dsn, tmp_path):
    for library in ("structlog", "loguru", "tqdm", "rich"):
        pytest.importorskip(library)
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    examples = EXAMPLE.findall(text)
    assert len(examples) == text.count("```python") == text.count("```text") == 8
    command = Command(dsn, tmp_path / "home")
    for number, (code, _) in enumerate(examples):
        (tmp_path / f"example{number}.py").write_text(code)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "flightlog",
                "run",
                "-n",
                f"example-{number}",
                "--",
                sys.executable,
                f"example{number}.py",
            ],
            env=command.environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    command("agent", "run", "--once")
    for number, (_, expected) in enumerate(examples):
        shown = lines(command("logs", f"example-{number}")[0].replace(f"{tmp_path}/", ""))
        assert shown == lines(expected.replace("FILE", f"example{number}.py")), number
