"""docs/reference/configuration.md is what the keys make of it: `make docs`."""

import os
import re

from flightlog.config import page
from flightlog.config.keys import KEYS
from flightlog.config.settings import examine

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "reference", "configuration.md")


def committed():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def test_the_committed_page_is_the_one_that_is_made():
    assert committed() == page.page(), "make docs"


def test_every_key_and_no_other():
    assert set(re.findall(r"^\| `([a-z]+\.[a-z_.]+)` \|", committed(), re.M)) == set(KEYS)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", committed()):
        assert os.path.exists(os.path.join(os.path.dirname(PAGE), target)), target


def test_its_examples_are_valid(tmp_path, monkeypatch):
    monkeypatch.delenv("FLIGHTLOG_DSN", raising=False)
    config = tmp_path / "config.yml"
    blocks = re.findall(r"```yaml\n(.*?)```", committed(), re.S)
    config.write_text("".join(blocks))
    found = examine(str(config))
    assert found.problems == [] and set(found.lines) == set(KEYS) - {"database.dsn_file"}
