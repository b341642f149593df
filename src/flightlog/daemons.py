"""Long-running processes: the agent in the foreground, in the background, and started on demand.

Invariants: what is started in the background inherits nothing from who started it: no descriptor, terminal, group, working directory; starting
it never delays a pipeline noticeably and never fails it. Owns: loops and signals. Leaves what to run to `wiring`.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from . import identity, redact
from .agent import door
from .errors import FlightlogError, Refused
from .process import family, launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .agent.upkeep import Wanted
    from .config.watch import Watch

_BATCH = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "OAR_JOB_ID", "COBALT_JOBID")
_CI = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "TF_BUILD")
_KEPT = (
    "FLIGHTLOG_HOME",
    "FLIGHTLOG_NODE",
    "FLIGHTLOG_CONFIG",
    "FLIGHTLOG_CONTROL",
    "FLIGHTLOG_SPOOL",
    "FLIGHTLOG_DSN",
    "FLIGHTLOG_DSN_FILE",
    "FLIGHTLOG_DSN_WITHHELD",
    "FLIGHTLOG_FAULT",
)
START_SECONDS = 60.0
NOTE_SECONDS = 0.5  # that an agent which has just begun may take to say who it is


def ensure_agent() -> str:
    """Start the agent in the background if this home has none and may have one; return why not, empty when there is one now.

    FLIGHTLOG_AGENT: `never`, `always`, or `auto` (default): not inside a systemd service, container, batch job or CI, where a process that outlives
    its job is not welcome, and not when a database is configured, because then an agent is run as a service. Does not wait for it.
    """
    wish = os.environ.get("FLIGHTLOG_AGENT", "auto")
    if wish == "never" or door.holder(identity.home()) is not None:
        return ""
    if identity.shared_spool() and not os.access(identity.home(), os.W_OK):
        return (
            ""  # the agent of this machine ships for all its users; who may not write there cannot see whether it runs
        )
    if wish != "always":
        where = _unwelcome()
        if where:
            return f"no agent is started by itself {where}; what is recorded stays in the spool until `flightlog agent run` ships it"
        if any(os.environ.get("FLIGHTLOG_DSN" + kind) for kind in ("", "_FILE", "_WITHHELD")):
            return "no agent runs; with a database configured it is run as a service: flightlog agent run"
        from .config import switch

        if switch.find_config():
            from . import wiring

            if not wiring.is_embedded():
                return "no agent runs; with a database configured it is run as a service: flightlog agent run"
    spawn()
    return ""


def spawn() -> None:
    """Start `flightlog agent run --background`, detached. Raises OSError when no process can be made."""
    home = identity.home()
    identity.make_home(home)
    os.makedirs(os.path.join(home, "log"), 0o700, exist_ok=True)
    log = os.open(os.path.join(home, "log", "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    child = os.fork()
    if child:
        os.close(log)
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 65536))
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        launch.Limits().lift()  # those of whoever started us; they would maim the agent and its database
        os.chdir("/")
        os.umask(0o077)
        os.execve(sys.executable, [sys.executable, "-m", "flightlog", "agent", "run", "--background"], _environment())
    finally:
        os._exit(127)


def _environment() -> dict[str, str]:
    """Return an environment without what belongs to a run."""
    from .config import switch

    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLIGHTLOG_") or name in _KEPT}
    kept["FLIGHTLOG_HOME"] = identity.home()
    kept[os.fsdecode(family.DETACHED)] = "1"  # who ends the program that had us started does not end us
    if kept.get("FLIGHTLOG_CONFIG"):
        kept["FLIGHTLOG_CONFIG"] = identity.absolute(kept["FLIGHTLOG_CONFIG"])
    else:
        config = switch.find_config()
        if config:
            kept["FLIGHTLOG_CONFIG"] = config
    folders = [path for path in kept.pop("PYTHONPATH", "").split(os.pathsep) if path]
    folders = [identity.absolute(path) for path in folders if os.path.join("sdk", "inject") not in path]
    if folders:
        kept["PYTHONPATH"] = os.pathsep.join(folders)
    return kept


def _unwelcome() -> str:
    """Return where a background process would not be welcome or could not work, as words; empty where it is and can."""
    if not _may_write_at_length():
        return "under a limit on file sizes (ulimit -f)"
    if any(os.environ.get(name) for name in _CI):
        return "in CI"
    if any(os.environ.get(name) for name in _BATCH):
        return "in a batch job"
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv") or os.environ.get("container"):  # noqa: SIM112
        return "in a container"
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return ""
    if any(word in text for word in ("/docker", "/kubepods", "/lxc", "/libpod")):
        return "in a container"
    if any(line.rstrip().endswith(".service") and "user@" not in line for line in text.splitlines()):
        return "in a systemd service"
    return ""


def _may_write_at_length() -> bool:
    """Tell whether a process of ours can have files of any size: there is no hard limit, or we may lift it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if before[1] == resource.RLIM_INFINITY:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0], resource.RLIM_INFINITY))
    except (OSError, ValueError):
        return False
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return True


def run_agent(background: bool = False) -> None:
    """Be the agent of this home until a signal, a newer agent, or, in the background, ten idle minutes end it.

    Raises Refused when another process is, and what settings and home raise.
    """
    from . import wiring
    from .agent.gpu import Gpu
    from .agent.upkeep import Upkeep
    from .config import switch
    from .config.watch import Watch

    home = identity.home()
    own = _take(home)
    chosen = wiring.settings()
    watch, gpu_watch = Watch(), Watch()  # one for each thread
    place = (home, os.environ.get("FLIGHTLOG_SPOOL", ""), switch.find_config())
    upkeep = Upkeep(*place, lambda: _wanted(watch))
    gpu = Gpu(*place, lambda: gpu_watch.look().metrics.interval, lambda: upkeep.disabled)
    agent = wiring.make_agent(own, upkeep, chosen.agent.idle_exit if background else None)
    upkeep.say = agent.say
    sys.excepthook = _say_masked
    ended_by_signal = []

    def on_signal(number: int, _: Any) -> None:
        ended_by_signal.append(number)
        agent.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for text in chosen.warnings:
        agent.say(f"warning: {text}")
    upkeep.start()
    gpu.start()
    try:
        agent.run()
    finally:
        gpu.stop()
        upkeep.stop()
        own.leave()
    if background and not ended_by_signal and wiring.is_embedded():
        from .store.embedded import EmbeddedServer

        EmbeddedServer(home).stop()


def _say_masked(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Print what ends this process; it goes into the agent's log, so without secrets."""
    import traceback  # not at each start of a run, which asks here for an agent

    text = "".join(traceback.format_exception(kind, problem, trace))
    sys.stderr.write(redact.text(text))


def _wanted(watch: Watch) -> Wanted:
    """Return what the settings say about room, now."""
    from .agent.upkeep import Wanted

    chosen = watch.look()
    return Wanted(chosen.spool.quota, chosen.spool.keep_free, chosen.logging.on_full)


def drain(seconds: float) -> bool:
    """Ship everything that lies in the spool, then return; tell whether all was shipped within *seconds*.

    By ourselves, or by the agent that runs. Raises FlightlogError.
    """
    from . import wiring

    home = identity.home()
    deadline = time.monotonic() + seconds
    own = door.Door(home)
    if _may_take(own, home):
        agent = wiring.make_agent(own)
        agent.quiet = True
        try:
            return agent.drain(seconds, files=True)
        finally:
            agent.close()
            own.leave()
    while time.monotonic() < deadline:
        door.ring(home)
        if not wiring.file_waits() and not wiring.database_waits():
            return True
        time.sleep(0.05)
    return False


def start_agent() -> bool:
    """Start the agent in the background, if none runs, and wait until it holds the door; tell whether one was started.

    Raises FlightlogError when it does not come.
    """
    home = identity.home()
    if door.holder(home) is not None:
        return False
    spawn()
    deadline = time.monotonic() + START_SECONDS
    while door.holder(home) is None:
        if time.monotonic() > deadline:
            raise FlightlogError("the agent did not start", f"read {os.path.join(home, 'log', 'agent.log')}")
        time.sleep(0.02)
    return True


def stop_agent(seconds: float = 30.0) -> bool:
    """Ask the agent to end after the batch in hand and wait for it; False when there was none. Raises FlightlogError."""
    home = identity.home()
    note = door.holder(home)
    if note is None:
        return False
    pid = note.get("pid", 0)
    if not isinstance(pid, int) or not identity.process_alive(pid, int(note.get("start", 0))):
        raise FlightlogError(f"who holds {home} cannot be told", "is it on another machine that shares this directory?")
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as problem:
        raise Refused(f"the agent (process {pid}) belongs to another user", "stop it as that user") from problem
    except ProcessLookupError:
        pass
    door.ring(home)
    deadline = time.monotonic() + seconds
    while door.holder(home) is not None:
        if time.monotonic() > deadline:
            raise FlightlogError(
                f"the agent (process {pid}) has not ended after {seconds:g} s", "flightlog agent status"
            )
        time.sleep(0.02)
    return True


def _take(home: str) -> door.Door:
    own = door.Door(home)
    if not _may_take(own, home):
        note = door.holder(home, NOTE_SECONDS) or {}
        raise Refused(f"process {note.get('pid', '?')} is the agent of {home}", "flightlog agent stop")
    return own


def _may_take(own: door.Door, home: str) -> bool:
    """Become the agent of *home*; False when another process is."""
    try:
        return own.take()
    except OSError as problem:
        raise Refused(f"{home} cannot be written: {problem.strerror}", "set FLIGHTLOG_HOME") from problem
