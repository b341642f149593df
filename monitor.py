"""`python monitor.py ...` is the same program as `flightlog ...`."""

import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(HERE, "src"))
    runpy.run_path(os.path.join(HERE, "bin", "flightlog"), run_name="__main__")
