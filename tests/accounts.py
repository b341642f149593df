"""Doing something as another account of this machine, for tests of what users can do to each other; needs root."""

import os
import pickle
import pwd
import traceback

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two other accounts")


def account(name):
    """Return (uid, gid) of an account that every Debian has."""
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def as_account(name, action, groups=(), umask=0o022):
    """Return what *action()* returns in a child that is *name*, with *groups* (ids) besides its own; raise what it raises."""
    uid, gid = account(name)
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(source)
            os.setgroups(list(groups))
            os.setgid(gid)
            os.setuid(uid)
            os.umask(umask)
            try:
                answer = (True, action())
            except BaseException:
                answer = (False, traceback.format_exc())
            with os.fdopen(sink, "wb") as file:
                pickle.dump(answer, file)
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    good, answer = pickle.loads(data)
    assert good, answer
    return answer
