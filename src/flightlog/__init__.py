"""flightlog, the flight recorder for data pipelines: the public SDK.

    import flightlog

    log = flightlog.get_logger(__name__)
    with flightlog.run("orders-etl") as run:
        with run.stage("extract", total=len(files)) as stage:
            for path in stage.track(files):
                log.info("loaded", path=path, rows=n)

Standard library only, Python 3.8 and later; importing it imports next to nothing. No call made through it raises into a
pipeline, blocks without a bound, or changes an exit status: what goes wrong is counted (docs/explanation, ADR 0002).
"""

from . import bytecode

bytecode.look_after(__spec__)

from ._version import __version__  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

    from .errors import FlightlogError
    from .process.controller import ProcessController
    from .process.enhanced import EnhancedProcessController
    from .sdk.attach import init
    from .sdk.carry import carry, carry_environment
    from .sdk.handler import DatabaseLogHandler
    from .sdk.hook_loguru import loguru_sink
    from .sdk.hook_structlog import structlog_processor
    from .sdk.logger import Logger, get_logger
    from .sdk.run import Run, run
    from .sdk.signals import EnhancedSignalHandler
    from .sdk.stage import Stage, stage
    from .sdk.traceparent import traceparent

__all__ = [
    "DatabaseLogHandler",
    "EnhancedProcessController",
    "EnhancedSignalHandler",
    "FlightlogError",
    "Logger",
    "ProcessController",
    "Run",
    "Stage",
    "__version__",
    "carry",
    "carry_environment",
    "get_logger",
    "init",
    "loguru_sink",
    "run",
    "stage",
    "structlog_processor",
    "traceparent",
]

_HOMES = {
    "DatabaseLogHandler": "sdk.handler",
    "EnhancedProcessController": "process.enhanced",
    "EnhancedSignalHandler": "sdk.signals",
    "FlightlogError": "errors",
    "Logger": "sdk.logger",
    "ProcessController": "process.controller",
    "Run": "sdk.run",
    "Stage": "sdk.stage",
    "carry": "sdk.carry",
    "carry_environment": "sdk.carry",
    "get_logger": "sdk.logger",
    "init": "sdk.attach",
    "loguru_sink": "sdk.hook_loguru",
    "run": "sdk.run",
    "stage": "sdk.stage",
    "structlog_processor": "sdk.hook_structlog",
    "traceparent": "sdk.traceparent",
}


def __getattr__(name: str) -> "Any":
    """Import a public name's module when the name is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError("module 'flightlog' has no attribute %r" % name)
    import importlib

    with bytecode.careful():
        module = importlib.import_module("flightlog." + home)
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> "List[str]":
    return sorted(__all__)
