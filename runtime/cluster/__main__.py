"""`./console.sh cluster`: starts, shows and stops this machine's part of the cluster.

Exit status: 0; 1, with the reason as the last line; 2 for wrong usage; 3 from `status` if nothing runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import urllib.error
import urllib.request

from runtime.cluster.deployment import HTTP_HOST, deploy
from runtime.cluster.node import Node, NodeError
from runtime.config import Config, ConfigError, load
from runtime.engine.settings import EngineSettings
from runtime.machine import ports
from runtime.models import embedding_models, selection

NOT_RUNNING = 3


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="./console.sh cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start")
    start.add_argument("--join", metavar="HOST:PORT", default=None)
    commands.add_parser("status")
    commands.add_parser("stop")
    options = parser.parse_args(arguments)
    try:
        config = load()
        node = Node(config)
        if options.command == "start":
            return _start(config, node, options.join)
        return _status(config, node) if options.command == "status" else _stop(node)
    except (ConfigError, selection.ModelError, ports.PortError, NodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _start(config: Config, node: Node, join: str | None) -> int:
    if not config.text("LLAMA_CLUSTER_HOST"):
        raise NodeError("set LLAMA_CLUSTER_HOST to the address of this machine that the others reach")
    beside = embedding_models.beside(config)
    settings = EngineSettings.from_config(config, selection.select(config), beside=beside)
    if not settings.api_key:
        raise NodeError("set LLAMA_SERVER_API_KEY, to the same key on all machines")
    if join is not None:
        return _join(node, join)
    for host, port in (
        (config.text("LLAMA_CLUSTER_HOST"), "LLAMA_CLUSTER_PORT"),
        (HTTP_HOST, "LLAMA_CLUSTER_HTTP_PORT"),
    ):
        # Ray would try again for ever, with a word in its log.
        ports.claim(host, config.integer(port)).close()
    node.make_token()
    node.start(join=None)
    try:
        _deploy(config, node, settings)
    except BaseException:
        node.stop()
        raise
    print(f"{_url(config)} answers. The proxy uses it with LLAMA_SERVER_BACKEND_URL={_url(config)}")
    print(
        f"another machine, with the file {node.token}: ./console.sh cluster start --join {node.address}"
    )
    return 0


def _deploy(config: Config, node: Node, settings: EngineSettings) -> None:
    """Wait for Ray and have it start the replicas."""
    os.environ.update(node.environment())
    print("starting Ray and the first replica …", file=sys.stderr)
    node.wait_until_started()
    try:
        deploy(config, settings, node.address)
    except (ConnectionError, RuntimeError) as error:
        raise NodeError(f"Ray Serve could not start the engine: {error}") from error


def _join(node: Node, join: str) -> int:
    if not node.token.exists():
        raise NodeError(f"copy the head's file cluster.token to {node.token}")
    node.start(join=join)
    try:
        node.wait_until_started()
    except BaseException:
        node.stop()
        raise
    print(f"joined {join}")
    return 0


def _status(config: Config, node: Node) -> int:
    processes = node.processes()
    if not processes:
        print("the cluster does not run here")
        return NOT_RUNNING
    print(f"Ray runs here: process {processes[0].pid} and {len(processes) - 1} others")
    try:
        with urllib.request.urlopen(f"{_url(config)}/health", timeout=5) as response:  # noqa: S310 - http
            print(f"{_url(config)} {response.read().decode()}")
    except (OSError, urllib.error.URLError) as error:
        print(f"{_url(config)} does not answer here: {error}")
    return 0


def _stop(node: Node) -> int:
    print("stopped" if node.stop() else "the cluster did not run here")
    return 0


def _url(config: Config) -> str:
    return f"http://{HTTP_HOST}:{config.integer('LLAMA_CLUSTER_HTTP_PORT')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
