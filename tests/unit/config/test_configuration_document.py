"""docs/reference/configuration.md lists every key, with the default that applies."""

import os
import re

import pytest

from flightlog.config import settings
from flightlog.config.keys import KEYS
from flightlog.config.quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "reference", "configuration.md")


def documented():
    with open(PAGE, encoding="utf-8") as file:
        rows = re.findall(r"^\| `([a-z]+\.[a-z_.]+)` \| [^|]+ \| ([^|]+) \|", file.read(), re.M)
    return {key: default.strip().strip("`") for key, default in rows}


def test_every_key_and_no_other():
    assert set(documented()) == set(KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_default_is_the_one_that_applies(key):
    value = settings.Settings()
    for name in key.split("."):
        value = getattr(value, name)
    text = documented()[key]
    if isinstance(value, Amount):  # these defaults are rules, in words: test_quota.py holds them to their figures
        assert value in (DEFAULT_QUOTA, DEFAULT_KEEP_FREE) and " of " in text
        return
    written = {"empty": "", "none": None, "true": True, "false": False}.get(text, text)
    assert KEYS[key].kind.check(int(written) if str(written).isdigit() else written) == value
