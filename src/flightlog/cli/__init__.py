"""The command line: one module per command, loaded when it is called.

Owns: parsing arguments, printing, exit codes. Leaves the work to `process`, `query`, `daemons`, `store`.
"""
