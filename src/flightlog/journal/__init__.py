"""The journal: records of all writers as crash-safe files in the spool.

Owns: the format of segments and captures, writing, reading and recovery. Standard library only, Python 3.8 and later.
Leaves what a record means to `records`, and where it goes next to the agent. docs/reference/journal-format.md is the specification.
"""
