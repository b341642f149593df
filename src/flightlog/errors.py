"""Every error flightlog raises, in one tree.

FlightlogError                 message + hint (what to do) + retryable
├── UsageError                 the caller asked for something that cannot be (exit 2)
├── ConfigError                the configuration says something we cannot use
├── NotFound                   no such run, pipeline, file; or more than one (exit 4)
├── TimedOut                   not done in the time that was given (exit 5)
├── Refused                    a guard said no, the caller must insist (exit 6)
├── SegmentError               a journal file is not what it claims to be
│   └── NewerFormat            it was written by a newer flightlog, in a form that we would misread
├── EmbeddedError              the embedded PostgreSQL cannot be prepared or started
└── SinkError                  where records are shipped to
    ├── SinkUnavailable        gone or busy: try the same again later            (retryable)
    ├── SinkMisconfigured      wrong password, missing table, no rights: hold    (retryable, slowly)
    ├── CommitUnknown          the answer to COMMIT was lost: read the position back first
    ├── PositionConflict       somebody else moved a writer's position: read it back
    ├── Fenced                 a newer agent holds this node: stop
    └── PoisonRecord           the data itself is refused: bisect, dead-letter

Owns: the words an error carries. Leaves printing them to the faces and retrying to the agent.
The SDK raises none of these into a pipeline: it counts instead. Standard library only.
"""

from __future__ import annotations


class FlightlogError(Exception):
    """Base of all errors of flightlog.

    Args:
        message: what failed, on which thing.
        hint: what to do about it, one sentence; empty when nobody can do anything.
    """

    retryable = False
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(FlightlogError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class ConfigError(FlightlogError):
    """The configuration says something we cannot use."""

    exit_code = 2


class NotFound(FlightlogError):
    """Nothing matches, or more than one thing does."""

    exit_code = 4


class TimedOut(FlightlogError):
    """Something was not done in the time that was given for it."""

    exit_code = 5


class Refused(FlightlogError):
    """A guard said no; the caller must insist."""

    exit_code = 6


class SegmentError(FlightlogError):
    """A journal file is not what it claims to be."""


class NewerFormat(SegmentError):
    """A journal file was written by a newer flightlog, in a form that we would misread."""


class EmbeddedError(FlightlogError):
    """The embedded PostgreSQL cannot be prepared or started."""

    exit_code = 3


class SinkError(FlightlogError):
    """Something went wrong where records are shipped to.

    Args:
        message: what failed.
        hint: what to do.
        sqlstate: the five-character code of the database, empty when there is none.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", sqlstate: str = "") -> None:
        super().__init__(message, hint)
        self.sqlstate = sqlstate


class SinkUnavailable(SinkError):
    """The sink is gone or busy; the same batch may be tried again."""

    retryable = True


class SinkMisconfigured(SinkError):
    """Credentials, tables or rights are wrong; hold everything until a person mends it."""

    retryable = True


class CommitUnknown(SinkError):
    """The answer to COMMIT was lost; read positions back before anything is sent again."""

    retryable = True


class PositionConflict(SinkError):
    """A writer's stored position is not the one we thought; read it back."""

    retryable = True


class Fenced(SinkError):
    """A newer agent holds this node; this one must stop."""


class PoisonRecord(SinkError):
    """The data itself is refused by the sink; bisect the batch."""
