"""Checkpoints beyond `run.checkpoint`: in a transaction of the pipeline's own database.

    from flightlog import checkpoint

Owns: the public names. Leaves what they do to `sdk.transaction`. Standard library only.
"""

from __future__ import annotations

from .sdk.transaction import create_table, in_transaction

__all__ = ["create_table", "in_transaction"]
