"""What runs: supervisord, its programs, how they answer, and the ports they need."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.config import Config
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning
from runtime.machine import ports
from runtime.supervisor import readiness, status
from runtime.supervisor.client import PROGRAMS, NotRunningError, Supervisor
from runtime.supervisor.status import Part


def programs(control: str) -> dict[str, int]:
    """The process of each program, by name; empty where no supervisord answers at that socket."""
    supervisor = Supervisor(control)
    try:
        return {name: supervisor.program(name).pid for name in PROGRAMS}
    except NotRunningError:
        return {}


def processes(there: Installation) -> Iterator[Finding]:
    """All that should be up is up, answers, and stays up."""
    parts = status.parts(there.known, there.control)
    if not there.programs and not any(part.state == "unsupervised" for part in parts):
        yield note("the appliance does not run", "./console.sh start")
        return
    for part in parts:
        yield from _process(part)


def _process(part: Part) -> Iterator[Finding]:
    logs = f"./console.sh logs {part.name} shows why"
    if part.state == "external":
        keys = {"postgres": "LLAMA_SERVER_DATABASE_URL, POSTGRES_AUTH_*"}
        logs = f"check {keys.get(part.name, 'LLAMA_SERVER_BACKEND_URL')}, and that it runs"
    if part.is_well:
        process = f", process {part.pid}" if part.pid else ""
        yield ok(f"{part.name}: {part.state}{process}")
    elif part.state == "unsupervised":
        yield problem(f"{part.name} runs and nothing looks after it", "./console.sh start")
    else:
        yield problem(f"{part.name}: {part.state}: {part.health or 'does not run'}", logs)
    if part.restarts:
        times = "once" if part.restarts == 1 else f"{part.restarts} times"
        yield warning(f"{part.name} came back {times} by itself since the start", logs)


def ready(there: Installation) -> Iterator[Finding]:
    """The proxy has its database and its engine."""
    config = there.known
    if not config.switch("LLAMA_PROXY_ENABLED") or not there.programs.get("proxy"):
        return
    if why := readiness.check_url(config.proxy_url + "/readyz"):
        yield problem(f"the proxy is not ready: {why}", "./console.sh logs proxy")
    else:
        yield ok("the proxy reaches its database and its engine (/readyz)")


def addresses(there: Installation) -> Iterator[Finding]:
    """The ports are ours, or free."""
    config = there.known
    wanted = ["server"] if config.uses_local_server else []
    wanted += ["proxy"] if config.switch("LLAMA_PROXY_ENABLED") else []
    for name in wanted:
        yield _port(config, name, ours=bool(there.programs.get(name)))
    numbers = [config.integer(f"LLAMA_{name.upper()}_PORT") for name in wanted]
    if len(set(numbers)) < len(numbers):
        yield problem("server and proxy have the same port", "set LLAMA_SERVER_PORT or LLAMA_PROXY_PORT")


def _port(config: Config, name: str, *, ours: bool) -> Finding:
    prefix = f"LLAMA_{name.upper()}"
    host, port = config.text(f"{prefix}_HOST"), config.integer(f"{prefix}_PORT")
    if ours:
        return ok(f"port {port} is the {name}'s")
    try:
        ports.claim(host, port).close()
    except ports.PortError as error:
        return problem(f"the {name} has no port: {error}", f"end that, or set {prefix}_PORT to another")
    return ok(f"port {port} is free for the {name}")
