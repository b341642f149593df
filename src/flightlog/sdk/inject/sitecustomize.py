"""Loaded by every Python that a supervised command starts, through PYTHONPATH. Must parse and be harmless on Python 2.7 to 3.x.

It takes its own folder out of sys.path, runs the sitecustomize that it hides, lets `import flightlog` find us when nothing else does,
remembers which streams are captured, and waits for `logging` to be imported. Nothing else: the SDK proper loads then.
"""

import sys


def _without_our_folder():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or os.curdir) != here]
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


def _boot_from_source():
    """Once more, when compiled files of ours are damaged."""
    from flightlog import bytecode

    with bytecode.from_source():
        _start()


def _start():
    from flightlog.sdk import bootstrap

    bootstrap.start()


def _boot(here):
    import os

    if sys.version_info < (3,):
        try:
            os.unlink(os.path.splitext(os.path.abspath(__file__))[0] + ".pyc")  # Python 2 leaves it beside this file
        except OSError:
            pass
    if sys.version_info < (3, 8):
        return

    root = os.path.dirname(os.path.dirname(here))

    class Last(object):
        """Answers for flightlog when no other finder did: an installed one wins."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "flightlog":
                return None
            from importlib.util import spec_from_file_location

            return spec_from_file_location(name, os.path.join(root, "__init__.py"), submodule_search_locations=[root])

    sys.meta_path.append(Last)
    if not os.environ.get("FLIGHTLOG_SPOOL"):
        return
    from flightlog import bytecode

    with bytecode.careful():
        _start()


_here = _without_our_folder()
try:
    _boot(_here)
except Exception:
    try:
        _boot_from_source()
    except Exception:
        pass
_run_hidden()
