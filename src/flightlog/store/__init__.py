"""The store: PostgreSQL. The only package that knows SQL; statements live in `sql/`.

Owns: connections, schema, partitions, the sink the agent ships to, the embedded server. Leaves what is asked of the data to `query`.
"""
