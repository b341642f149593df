"""Loaded by every Python that a supervised command starts, through PYTHONPATH. Must parse and be harmless on Python 2.7 to 3.x.

It takes its own place out of sys.path, runs the sitecustomize that it hides, lets `import flightlog` find us when nothing else does,
remembers which streams are captured, and waits for `logging` to be imported. Nothing else: the SDK proper loads then.
PYTHONPATH names inject.zip, which holds this file (`make inject`), because no interpreter writes or reads bytecode beside a zip: a
damaged .pyc of this module would make every Python complain before any line of ours.
"""

import sys


def _without_our_place():
    here = __file__.rpartition("/")[0]
    sys.path[:] = [path for path in sys.path if path.rstrip("/") != here]
    sys.path_importer_cache.pop(here, None)
    return here


def _run_hidden():
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401  the one that we hide, next on sys.path
    except ImportError:
        problem = sys.exc_info()[1]
        if getattr(problem, "name", "sitecustomize") not in ("sitecustomize", None):
            raise
        if ours is not None:
            sys.modules["sitecustomize"] = ours


def _start():
    try:
        from flightlog import bytecode
    except Exception:  # what is compiled of the two modules that are read before our own loader is there is damaged
        before = sys.pycache_prefix
        sys.pycache_prefix = "/dev/null/none"
        try:
            from flightlog import bytecode
        finally:
            sys.pycache_prefix = before
    with bytecode.careful():
        from flightlog.sdk import bootstrap

        bootstrap.start()


def _boot(here):
    if sys.version_info < (3, 8):
        return
    import os

    root = os.path.dirname(os.path.dirname(here))

    class Last(object):
        """Answers for flightlog when no other finder did: an installed one wins."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "flightlog":
                return None
            importing = sys.modules.get(
                "_frozen_importlib_external"
            )  # what importlib.util hands out, without the rest that it loads
            if importing is None:
                import importlib._bootstrap_external as importing

            return importing.spec_from_file_location(
                name, os.path.join(root, "__init__.py"), submodule_search_locations=[root]
            )

    sys.meta_path.append(Last)
    if os.environ.get("FLIGHTLOG_SPOOL"):
        _start()


_here = _without_our_place()
try:
    _boot(_here)
except Exception:
    pass
_run_hidden()
