"""What runs inside the pipeline: loggers, runs, stages, and the hooks into logging libraries.

Invariants: standard library only, Python 3.8; nothing raises into user code; no thread, no lock, no socket; the program's levels,
handlers and streams stay what they are. Owns the moment a record is made; leaves the file to `journal`.
"""
