"""The document of `flightlog stacks` fits into a command's row, whatever the size of the run."""

import json

from flightlog.process import whereabouts


def document(count, size):
    processes = [{"pid": number, "stacks": [{"by": "py-spy", "text": "x" * size}]} for number in range(count)]
    return {"v": 1, "run": "r", "processes": processes, "missing": ["a power"] * 100}


def test_what_fits_is_whole():
    whole = document(8, 1000)
    assert json.loads(whereabouts.text(whole)) == whole


def test_what_does_not_fit_says_what_is_left_out():
    found = whereabouts.text(document(4000, 16 << 10))
    assert len(found) <= whereabouts.MAX_TEXT
    found = json.loads(found)
    assert [one["pid"] for one in found["processes"]] == list(range(len(found["processes"]))) and found["processes"]
    assert (
        found["missing"][-1] == f"{4000 - len(found['processes'])} more processes (try: flightlog stacks, on that node)"
    )
    assert json.loads(whereabouts.text(document(1, 1 << 20)))["processes"] == []
