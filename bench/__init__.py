"""Benchmarks: flightlog beside its peers, in one run, as ratios. `make bench` writes bench/RESULTS.md."""
