"""The order of cleanup callbacks, and what becomes of each."""

from flightlog.sdk import cleanup
from flightlog.sdk.cleanup import DONE, FAILED, OVERRAN, SKIPPED, WAITING, Callback, Cleanup, Interruption


def made(*wanted):
    """A cleanup of (name, priority, slow) whose callbacks note their names; and the notes."""
    called, found = [], Cleanup()
    for name, priority, slow in wanted:
        found.callbacks.append(Callback(lambda name=name: called.append(name), name, 1.0, slow, priority))
    return found, called


def outcomes(found):
    return {callback.name: callback.outcome for callback in found.callbacks}


def test_higher_priority_first_then_the_one_registered_last():
    found, called = made(("a", 0, False), ("b", 5, False), ("c", 0, False), ("d", -1, False), ("e", 5, False))
    found.run(lambda: None)
    assert called == ["e", "b", "c", "a", "d"]
    assert set(outcomes(found).values()) == {DONE}


def test_each_is_called_once():
    found, called = made(("a", 0, False))
    found.run(lambda: None)
    found.run(lambda: None)
    assert called == ["a"]


def test_in_a_hurry_slow_ones_are_skipped():
    found, called = made(("a", 0, True), ("b", 0, False))
    found.in_hurry = True
    found.run(lambda: None)
    assert called == ["b"]
    assert outcomes(found) == {"a": SKIPPED, "b": DONE}


def test_one_that_fails_or_is_interrupted_does_not_keep_the_next_from_running():
    found, called = made(("last", 0, False))

    def fails(problem):
        raise problem

    for problem in (ValueError("no"), SystemExit(3), KeyboardInterrupt(), Interruption(OVERRAN)):
        name = type(problem).__name__
        found.callbacks.append(Callback(lambda problem=problem: fails(problem), name, 1.0, False, 1))
    found.run(lambda: None)
    assert called == ["last"]
    assert outcomes(found) == {
        "last": DONE,
        "ValueError": FAILED,
        "SystemExit": FAILED,
        "KeyboardInterrupt": FAILED,
        "Interruption": OVERRAN,
    }
    assert found.current is None
    assert str(found.callbacks[1].problem) == "no"


def test_the_clock_is_watched_while_one_runs():
    found, _ = made(("a", 0, False))
    seen = []
    found.run(lambda: seen.append((found.current, found.current.until > 0)))
    assert seen == [(found.callbacks[0], True)]


def test_what_the_attendant_has_taken_over_is_left_to_it():
    found, called = made(("a", 0, False), ("b", 0, False))
    found.callbacks[1].function = lambda: setattr(found, "taken", True)
    found.run(lambda: None)
    assert called == []
    assert outcomes(found) == {"a": WAITING, "b": DONE}


def test_an_interruption_is_not_caught_by_programs_that_catch_errors():
    assert not issubclass(cleanup.Interruption, Exception)
