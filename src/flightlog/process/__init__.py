"""Running a command under the recorder: keeper, shim, capture pumps, console echo, exit evidence.

Invariants: the command cannot tell that it is supervised except that its output descriptors are pipes; its caller
cannot tell at all. Standard library only, Python 3.8 and later, started as `python -I -S`; no logging, dataclasses,
subprocess.
Owns: the processes of a run. Leaves making lines of captured bytes to the agent, and what a death means to the verdict.
"""
