"""What a run's processes use of GPUs: those on the agent's GPU page that are in the shim's tree, added up.

Invariants: nothing is asked of a GPU or its driver here, where a run would have to bear it when that hangs; a process counts when pid and start time are
both those of one in the tree; what is not known has no figure, never a zero. Without a page a look costs one stat(2). Owns: the names of the figures,
and the sums. Leaves the page to `config.gpu_page`, asking to `agent.gpu`. Standard library only, Python 3.8. Never raises.
"""

from __future__ import annotations

from ..config import gpu_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .proctree import Process

MEMORY, SHARE, COUNT = "gpu_mem_kb", "gpu_util_pct", "gpu_count"


class Gpu:
    """See the module.

    Args:
        control_page: path of the run's control page, beside which the GPU page lies.
    """

    __slots__ = ("_page",)

    def __init__(self, control_page: str) -> None:
        self._page = gpu_page.GpuPage(gpu_page.path_for(control_page))

    def look(self, processes: Mapping[int, Process]) -> dict[str, Any]:
        """Return the figures of *processes*, by pid; none when none of them uses a GPU, as far as the agent has seen."""
        figures: dict[str, Any] = {}
        devices: set[Any] = set()
        for entry in self._page.look():
            if type(entry) is not list or len(entry) != 5:
                continue
            pid, start, memory, share, on = entry
            ours = processes.get(pid) if type(pid) is int else None
            if ours is None or ours.start != start or ours.dead or type(on) is not list:
                continue
            devices.update(number for number in on if type(number) is int)
            for name, value in ((MEMORY, memory), (SHARE, share)):
                if type(value) in (int, float) and value >= 0:
                    figures[name] = figures.get(name, 0) + value
        if devices:
            figures[COUNT] = len(devices)
        return figures
