"""What several destinations have acknowledged together: never more than the one that is furthest behind."""

import pytest

from flightlog.agent.destinations import Destinations, Together, Wish
from flightlog.agent.file_sink import FileWish
from flightlog.agent.sink import Position

W = "ab" * 16
HERE, AHEAD, END = Position(2, 10), Position(5, 0), Position(9, 9, closed=True)


class At:
    """A destination that stands somewhere."""

    def __init__(self, position):
        self._position = position

    def is_closed(self, writer):
        return self._position is not None and self._position.closed

    def closed(self):
        return {W} if self.is_closed(W) else set()

    def position(self, writer):
        return self._position


@pytest.mark.parametrize(
    "places, position, closed",
    [
        ([], None, False),
        ([HERE], HERE, False),
        ([HERE, AHEAD], HERE, False),
        ([AHEAD, HERE], HERE, False),
        ([None, AHEAD], None, False),
        ([AHEAD, None], None, False),
        ([END, HERE], HERE, False),
        ([HERE, END], HERE, False),
        ([END, None], None, False),
        ([END, END], None, True),
    ],
)
def test_the_one_furthest_behind_counts(places, position, closed):
    both = Together([At(place) for place in places])
    assert (both.position(W), both.is_closed(W), W in both.closed()) == (position, closed, closed)


@pytest.mark.parametrize(
    "database, files, opened, position",
    [
        (True, False, True, AHEAD),
        (True, False, False, None),  # wanted and not open: nothing is acknowledged
        (True, True, True, None),  # the text logs have never been opened
        (False, True, True, None),
        (False, False, True, None),
    ],
)
def test_only_what_is_wanted_counts_and_all_of_it(tmp_path, database, files, opened, position):
    directory = str(tmp_path / "logs")
    wish = Wish(database, FileWish(directory) if files else None, directory)
    destinations = Destinations(lambda: wish, "n1", str(tmp_path))
    both = destinations.acknowledged(At(AHEAD) if opened else None)
    assert (both.position(W), both.is_closed(W)) == (position, False)


def test_a_database_that_is_not_open_holds_back_what_the_text_logs_have(tmp_path, monkeypatch):
    wish = Wish(True, FileWish(str(tmp_path)), str(tmp_path))
    destinations = Destinations(lambda: wish, "n1", str(tmp_path))
    monkeypatch.setattr(destinations, "_files", At(END))
    assert not destinations.acknowledged(None).is_closed(W) and destinations.acknowledged(None).position(W) is None
    assert destinations.acknowledged(At(END)).is_closed(W)
