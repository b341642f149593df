"""A slice of the mutants: that they are noticed, that all of them still apply, and that the machine can say no."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from breaking import FAILED, broken_copy, run, verdict
from catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.quick], ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_noticed(mutant):
    code, words = run([mutant.test], mutant)
    assert code == FAILED, words


def test_every_mutant_changes_the_product(tmp_path):
    for number, mutant in enumerate(MUTANTS):
        broken_copy(str(tmp_path / str(number)), mutant)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_mutant_that_breaks_nothing_survives():
    harmless = Mutant(
        "harmless", [("journal/reader.py", "What one read brought.", "What a read brought.")], MUTANTS[0].test
    )
    assert verdict(run([harmless.test], harmless)[0]) == "SURVIVED"


def test_a_mutant_that_no_longer_applies_is_an_error(tmp_path):
    with pytest.raises(AssertionError, match="change the catalogue"):
        broken_copy(str(tmp_path / "copy"), Mutant("stale", [("journal/reader.py", "no such text", "")], ""))
