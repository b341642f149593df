"""Benchmarks: flightlog beside its peers, in one run, as ratios. `make bench` writes bench/RESULTS.md.

Each section of that file is a module with a `TITLE` and `run() -> str`, which returns Markdown; `SECTIONS` gives their order.
A section whose module is not there yet, or which returns None, is left as it was.
"""

SECTIONS = ("calls", "startup", "shipping", "rest", "pipeline", "supervisors")
