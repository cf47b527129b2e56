"""A cluster of two nodes by Ray Serve: what clients see when replicas come, go and die.

    ./console.sh bench cluster [--clients 6]

Only for root, on Linux, where `./console.sh cluster start` has installed Ray: the nodes are network
namespaces of this machine, with two slots each, and share its processors. In front is a real proxy with
a PostgreSQL. Clients send one stream after the other. One replica is ready at first; the load makes it
two; then one is killed, and when it has been replaced, the clients stop and one replica ends. Prints the
slots that the proxy knows, when each change came, and every response that was not whole.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from aiohttp import ClientError

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import users
from runtime.config import ROOT
from tests.support.postgres import Postgres
from tests.support.process import free_port
from tests.support.proxy import RunningProxy, running_proxy, settings_for

RAY = Path(f"{sys.prefix}-cluster") / "bin" / "python"
HEAD, WORKER = "10.98.0.1", "10.98.0.2"
INSIDE = "LLAMASERVE_BENCH_NAMESPACES"
SLOTS = 2
"""Of each replica."""
TOKENS = 200
PATIENCE_S = 120.0
MODEL = ROOT / "models" / "starter" / "llamaserve-starter.gguf"


def main() -> int:
    """Run it within the first of two namespaces; 1 if a response was lost that was only waiting."""
    parser = argparse.ArgumentParser(prog="bench cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=6)
    options = parser.parse_args()
    if os.geteuid() != 0 or not RAY.exists() or shutil.which("ip") is None:
        print("only root on Linux, with Ray (./console.sh cluster start installs it), can measure this")
        return 1
    if INSIDE not in os.environ:
        return _inside_namespaces()
    with tempfile.TemporaryDirectory(prefix="llamaserve-cluster-") as folder:
        return _measured(Path(folder), os.environ[INSIDE].split()[1], options.clients)


def _inside_namespaces() -> int:
    """Make two namespaces with a cable between them, and run this program in the first."""
    tag = secrets.token_hex(3)
    one, other = f"lsb{tag}a", f"lsb{tag}b"
    commands = [f"netns add {one}", f"netns add {other}"]
    commands += [f"link add {one} netns {one} type veth peer name {other} netns {other}"]
    for name, address in ((one, HEAD), (other, WORKER)):
        commands += [f"-n {name} link set lo up", f"-n {name} address add {address}/24 dev {name}"]
        commands += [f"-n {name} link set {name} up"]
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        again = ["ip", "netns", "exec", one, sys.executable, "-m", "tests.bench.cluster", *sys.argv[1:]]
        return subprocess.run(
            again, env={**os.environ, INSIDE: f"{one} {other}"}, check=False
        ).returncode
    finally:
        for name in (one, other):
            subprocess.run(["ip", "netns", "delete", name], check=False)


def _measured(folder: Path, other: str, clients: int) -> int:
    port = free_port()
    common = {
        **os.environ, "PYTHONPATH": str(ROOT), "LLAMA_CLUSTER_HTTP_PORT": str(port),
        "LLAMA_CLUSTER_MAX_REPLICAS": "2", "LLAMA_CLUSTER_SCALE_DOWN_SECONDS": "10",
        "LLAMA_SERVER_API_KEY": "engine-key", "LLAMA_SERVER_MODEL": str(MODEL),
        "LLAMA_SERVER_PARALLEL": str(SLOTS), "LLAMA_SERVER_STOP_SECONDS": "1",
        # All processors of a node, so that each has one replica.
        "LLAMA_SERVER_N_THREADS": str(os.cpu_count() or 1),
    }  # fmt: skip
    head = {**common, "LLAMA_CLUSTER_HOST": HEAD, "LLAMA_DATA_DIR": str(folder / "head")}
    worker = {**common, "LLAMA_CLUSTER_HOST": WORKER, "LLAMA_DATA_DIR": str(folder / "worker")}
    cluster = [str(RAY), "-m", "runtime.cluster"]
    on_worker = ["ip", "netns", "exec", other, *cluster]
    try:
        begun = time.monotonic()
        subprocess.run([*cluster, "start"], env=head, cwd=ROOT, check=True)
        print(f"the head was ready after {time.monotonic() - begun:.0f} s")
        (folder / "worker").mkdir()
        shutil.copy2(folder / "head" / "cluster.token", folder / "worker" / "cluster.token")
        joined = [*on_worker, "start", "--join", f"{HEAD}:6380"]
        subprocess.run(joined, env=worker, cwd=ROOT, check=True)
        with Postgres() as postgres:
            return asyncio.run(_load(folder, f"http://127.0.0.1:{port}", postgres, clients))
    finally:
        subprocess.run([*on_worker, "stop"], env=worker, cwd=ROOT, check=False)
        subprocess.run([*cluster, "stop"], env=head, cwd=ROOT, check=False)


class Clients:
    """Clients that send one stream after the other until told to stop."""

    def __init__(self, proxy: RunningProxy, key: str) -> None:
        self._proxy, self._key = proxy, key
        self.go_on = True
        self.outcomes: Counter[str] = Counter()
        self.latencies_s: list[float] = []

    async def run(self) -> None:
        """One client."""
        body = {"prompt": "Once", "max_tokens": TOKENS, "min_tokens": TOKENS - 1, "stream": True}
        while self.go_on:
            begun = time.monotonic()
            try:
                async with self._proxy.request(
                    "POST", "/v1/completions", key=self._key, json=body
                ) as response:
                    text = await response.text()
                whole = response.status == 200 and text.endswith("data: [DONE]\n\n")
                outcome = "whole" if whole else f"{response.status}, ends with {text[-160:].strip()}"
            except ClientError as error:
                outcome = repr(error)
            self.outcomes[outcome] += 1
            self.latencies_s.append(time.monotonic() - begun)


async def _load(folder: Path, engine_url: str, postgres: Postgres, clients: int) -> int:
    url = postgres.fresh_database()
    with connect(url, application="bench") as connection:
        schema.migrate(connection)
        key = users.create_user(connection, username="bench", rate_limit=10**6).key
    settings = settings_for(database_url=url, backend_url=engine_url, directory=folder)
    async with running_proxy(settings) as proxy:
        load = Clients(proxy, key)
        await _slots(proxy, SLOTS, "one replica")
        tasks = [asyncio.create_task(load.run()) for _ in range(clients)]
        await _slots(proxy, 2 * SLOTS, "two replicas, for the load")
        await asyncio.sleep(10)
        before = load.outcomes.total()
        victim = _replicas()[-1]
        victim.send_signal(signal.SIGKILL)
        print(f"a replica was killed under load, after {before} responses")
        await _slots(proxy, SLOTS, "one replica is left")
        await _slots(proxy, 2 * SLOTS, "two replicas again")
        await asyncio.sleep(5)
        load.go_on = False
        await asyncio.gather(*tasks)
        await _slots(proxy, SLOTS, "one replica, for want of load")
    for outcome, count in load.outcomes.most_common():
        print(f"{count:5}  {outcome}")
    latencies = sorted(load.latencies_s)
    print(f"seconds for one: median {latencies[len(latencies) // 2]:.1f}, longest {latencies[-1]:.1f}")
    lost = load.outcomes.total() - load.outcomes["whole"]
    # What ran on the victim is lost; what waited must not be.
    return int(lost > SLOTS)


async def _slots(proxy: RunningProxy, wanted: int, what: str) -> None:
    """Wait until the proxy gives so many turns at a time."""
    begun = time.monotonic()
    while proxy.app.turns.slots != wanted:
        if time.monotonic() - begun > PATIENCE_S:
            raise TimeoutError(f"{what}: the proxy has {proxy.app.turns.slots} slots, not {wanted}")
        await asyncio.sleep(0.1)
    print(f"{what}: {wanted} slots after {time.monotonic() - begun:.1f} s", flush=True)


def _replicas() -> list[psutil.Process]:
    """The replicas' processes in this namespace and the other one."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or ())
        environment = process.info["environ"] or {}
        if command.startswith("ray::ServeReplica") and environment.get(INSIDE) == os.environ[INSIDE]:
            found.append(process)
    return found


if __name__ == "__main__":
    sys.exit(main())
