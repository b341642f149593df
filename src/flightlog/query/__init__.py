"""The read model: typed rows out of the store, for every face.

Owns: what can be asked. Prints nothing, changes nothing. SQL is in `store/sql/queries`. Functions take a connection of `store.db.connect` and
raise SinkError when the store does not answer.
"""
