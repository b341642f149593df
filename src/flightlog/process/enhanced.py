"""`EnhancedProcessController`: the same, and each attempt is a recorded run.

What `flightlog run` does for one command this does for each attempt: capture, context propagation, metrics, evidence, verdict; restarts go by the
verdict, and status names the run. With monitoring switched off it is the plain one: the switch is looked at before each attempt.
Owns: what makes an attempt a run. Leaves the rest to `controller` and the keeper.
"""

from __future__ import annotations

from .. import identity
from ..config import switch
from .controller import ProcessController
from .restart import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class EnhancedProcessController(ProcessController):
    """See the module.

    Args:
        home, policy: as of ProcessController.
        config: the config file; default: the one that applies here.
        prepare: called with its path before a start: to hand its settings on to processes that cannot read it. What it raises is passed over.
    """

    recorded = True

    def __init__(
        self,
        home: str | None = None,
        policy: Policy | None = None,
        config: str | None = None,
        prepare: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(home, policy)
        self._config = identity.absolute(config) if config else switch.find_config()
        self._prepare = prepare

    def _recording(self, name: str) -> dict[str, Any]:
        try:
            if self._prepare is not None:
                self._prepare(self._config)
        except Exception:  # the settings stay those of before, which the run's own log says (`compiled.unheeded`)
            pass
        return {
            "recorded": True,
            "pipeline": name,
            "parent": identity.run_around(),
            "config": self._config,
        }
