"""Evidence that nobody judges goes, evidence in use stays."""

import os

from flightlog import identity
from flightlog.agent.abandoned import remove_abandoned
from flightlog.journal import evidence

RUN, OTHER = identity.new_ulid(), identity.new_ulid()


def test_only_what_is_old_and_held_by_nobody_goes(tmp_path):
    spool = str(tmp_path)
    held, left = evidence.create(spool, RUN), evidence.create(spool, OTHER)
    os.close(left)
    assert remove_abandoned(spool) == 0  # too young
    for run in (RUN, OTHER):
        os.utime(evidence.path_of(spool, run), (1, 1))
    assert remove_abandoned(spool) == 1
    assert os.listdir(spool) == [RUN + evidence.SUFFIX]
    os.close(held)
    assert remove_abandoned(spool) == 1


def test_a_link_is_not_followed(tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    (tmp_path / "precious").write_text("x")
    os.utime(tmp_path / "precious", (1, 1))
    os.symlink(tmp_path / "precious", spool / (RUN + evidence.SUFFIX))
    assert remove_abandoned(str(spool)) == 0
    assert (tmp_path / "precious").exists()
