"""The agent: one per node. Reads the spool, makes rows of it, ships them exactly once, and removes what was acknowledged.

Owns: everything between segments and the sink. Knows a sink by protocol (`sink`), never PostgreSQL. Needs Python 3.11.
"""
