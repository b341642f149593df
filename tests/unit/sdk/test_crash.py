"""Where the private descriptor for native crashes lies, and how it is known to be ours."""

import os
import resource

import pytest

from flightlog.sdk import crash


@pytest.fixture
def limits():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def highest():
    """The highest number in use, without those of journals, which lie near the limit."""
    return max(number for number in map(int, os.listdir("/proc/self/fd")) if number < 800)


def at(path, **how):
    found = crash.open_private(str(path), **how)
    return found


def test_it_lies_beyond_the_limit_where_nothing_is_opened(tmp_path, limits):
    path = tmp_path / "file"
    path.touch()
    soft = max(400, highest() + 20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    one, two = at(path), at(path)
    try:
        assert (one.fd, two.fd, one.beyond) == (soft, soft + 1, True)
        assert not os.get_inheritable(one.fd)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, limits[1])
        assert one.holds()
        with pytest.raises(OSError):
            os.dup2(0, one.fd)
    finally:
        os.close(one.fd)
        os.close(two.fd)
    assert not one.holds()


def test_a_limit_that_is_too_high_is_not_gone_beyond(tmp_path, limits, monkeypatch):
    # The real one would cost a table of half a megabyte. Tests before this one may have left descriptors: it lies above those, and the one opened here.
    most = max(300, highest() + 2 + crash.BELOW + 1)
    monkeypatch.setattr(crash, "MOST", most)
    path = tmp_path / "file"
    path.touch()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
    one = at(path)
    assert (one.fd, one.beyond) == (most - crash.BELOW - 1, False)
    other = os.open(os.devnull, os.O_WRONLY)
    os.dup2(other, one.fd)
    assert not one.holds()
    os.close(one.fd)
    os.close(other)


def test_nothing_is_created_unless_asked(tmp_path):
    assert at(tmp_path / "missing") is None
    assert not (tmp_path / "missing").exists()
    made = at(tmp_path / "made", create=True)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    os.close(made.fd)


def test_only_regular_files_are_taken(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").touch()
    assert at(tmp_path / "pipe") is None
    assert at(tmp_path / "link") is None
    assert at("\0") is None
    assert at(os.devnull) is None
