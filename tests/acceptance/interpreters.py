"""Which Pythons are on this machine: for tests of what is loaded into a pipeline."""

import glob
import os
import shutil

VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "pypy3"]


def find(name):
    """Return the path of an interpreter, or None."""
    base = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    found = sorted(glob.glob(os.path.join(base, name + ".*", "bin", "python")))
    return found[-1] if found else shutil.which("python" + name) or (shutil.which(name) if name == "pypy3" else None)
