"""Checks of the running programs: supervision, health and ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from urllib.parse import urlsplit

from runtime.config import Config
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning
from runtime.machine import ports
from runtime.supervisor import backends, readiness, status
from runtime.supervisor.client import PROGRAMS, NotRunningError, Supervisor
from runtime.supervisor.status import Part

_CHECK_URL = "check its URL in LLAMA_SERVER_BACKENDS, and that it is running"


def programs(control: str) -> dict[str, int]:
    """The pid of each program, by name; empty if no supervisord answers at that socket."""
    supervisor = Supervisor(control)
    try:
        return {name: supervisor.program(name).pid for name in PROGRAMS}
    except NotRunningError:
        return {}


def processes(checkout: Installation) -> Iterator[Finding]:
    """Every program that should run is running, answers, and was not restarted."""
    parts = status.parts(checkout.known, checkout.control)
    if not checkout.programs and not any(part.state == "unsupervised" for part in parts):
        yield note("the appliance is not running", "./console.sh start")
        return
    for part in parts:
        yield from _process(part, checkout.known)


def _process(part: Part, config: Config) -> Iterator[Finding]:
    remedy = f"./console.sh logs {part.name} shows why"
    if part.state == "external":
        keys = {"postgres": "LLAMA_SERVER_DATABASE_URL, POSTGRES_AUTH_*"}
        engine = "LLAMA_SERVER_BACKENDS" if config.backends else "LLAMA_SERVER_BACKEND_URL"
        remedy = f"check {keys.get(part.name, engine)}, and that it is running"
    if part.is_well:
        process = f", process {part.pid}" if part.pid else ""
        yield ok(f"{part.name}: {part.state}{process}")
    elif part.state == "unsupervised":
        yield problem(f"{part.name} is running without supervision", "./console.sh start")
    else:
        yield problem(f"{part.name}: {part.state}: {part.health or 'not running'}", remedy)
    if part.restarts:
        times = "once" if part.restarts == 1 else f"{part.restarts} times"
        yield warning(f"{part.name} ended and was restarted {times} since the start", remedy)


def ready(checkout: Installation) -> Iterator[Finding]:
    """The proxy reaches its database and its engine."""
    config = checkout.known
    if not config.switch("LLAMA_PROXY_ENABLED") or not checkout.programs.get("proxy"):
        return
    if why := readiness.check_url(config.proxy_url + "/readyz"):
        yield problem(f"the proxy is not ready: {why}", "./console.sh logs proxy")
    else:
        yield ok("the proxy reaches its database and its engine (/readyz)")


def engines(checkout: Installation) -> Iterator[Finding]:
    """Each engine of LLAMA_SERVER_BACKENDS is used, and is one of its own."""
    config = checkout.known
    yield from _twice(config.backend_urls)
    if not config.backends or not checkout.programs.get("proxy"):
        return
    try:
        found = backends.engines(config)
    except backends.BackendsError:
        return  # `ready` says what is wrong with the proxy
    for one in found:
        url, state = one["url"], one["state"]
        if state == "ready":
            yield ok(f"the engine {url} is used, with {one['slots']} slots")
        elif state == "drained":
            yield note(f"the engine {url} is drained", f"./console.sh backends undrain {url}")
        else:
            yield warning(f"the engine {url} is not used: {state}: {one['problem']}", _CHECK_URL)


def _twice(urls: tuple[str, ...]) -> Iterator[Finding]:
    """Engines with different names at one address, which would get twice their slots."""
    known: dict[tuple[object, ...], str] = {}
    for url in urls if len(urls) > 1 else ():
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with suppress(OSError):  # a name that does not resolve is no other's
            address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0][4]
            place = (address[:2], parts.path)
            if place in known:
                yield warning(
                    f"{known[place]} and {url} are one engine, which gets twice its slots",
                    "name it once in LLAMA_SERVER_BACKENDS",
                )
            known[place] = url


def addresses(checkout: Installation) -> Iterator[Finding]:
    """The ports are free, or used by our own programs."""
    config = checkout.known
    wanted = ["server"] if config.uses_local_server else []
    wanted += ["proxy"] if config.switch("LLAMA_PROXY_ENABLED") else []
    wanted += ["dashboard"] if config.runs_dashboard else []
    for name in wanted:
        yield _port(config, name, ours=bool(checkout.programs.get(name)))
    for one, other in combinations(wanted, 2):
        keys = [f"LLAMA_{name.upper()}_PORT" for name in (one, other)]
        if config.integer(keys[0]) == config.integer(keys[1]):
            yield problem(f"the {one} and the {other} have the same port", f"set {' or '.join(keys)}")


def _port(config: Config, name: str, *, ours: bool) -> Finding:
    prefix = f"LLAMA_{name.upper()}"
    host, port = config.text(f"{prefix}_HOST"), config.integer(f"{prefix}_PORT")
    if ours:
        return ok(f"port {port} is used by the {name}")
    try:
        ports.claim(host, port).close()
    except ports.PortError as error:
        return problem(
            f"the {name} cannot listen: {error}", f"end that program, or set {prefix}_PORT to another"
        )
    return ok(f"port {port} is free for the {name}")
