"""Which clients work, and what of each: python -m tests.clients [NAME …] [--environments DIR] [--all].

Starts an appliance of its own with a model that does as it is told (`scripted_model.py`), installs each
client into an environment of its own, runs its script with a user's key through the proxy, and prints a
table. Without names it tries the clients that install in seconds; --all tries all, which takes some
gigabytes. Exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.environments import CLIENTS, HERE, Client, Environment
from tests.clients.scripted_model import build
from tests.support.appliance import Appliance

CAPABILITIES = (
    "chat",
    "stream",
    "tools",
    "structured",
    "completions",
    "responses",
    "messages",
    "errors",
)
COMMAND = "echo made > made.txt"
CALLS = {
    "get_weather": {"city": "Paris"},
    "exec_command": {"cmd": COMMAND},  # codex
    "Bash": {"command": COMMAND, "description": "make"},  # Claude Code
    "bash": {"command": COMMAND, "description": "make"},  # opencode
    "final_answer": {"answer": "21 degrees"},  # smolagents
    "final_result": {"town": "Rome"},  # pydantic-ai
}
MODEL = "scripted.gguf"
LIMIT_S = 600


@dataclass
class Result:
    """What of a client worked."""

    client: Client
    version: str = ""
    worked: dict[str, bool] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return bool(self.worked) and all(self.worked.values())

    def row(self) -> str:
        """A line of the table."""
        marks = {True: "yes", False: "**no**", None: ""}
        cells = [marks[self.worked.get(name)] for name in CAPABILITIES]
        return f"| {self.client.title} | {self.version or '–'} | " + " | ".join(cells) + " |"


def main() -> int:
    """Try the clients that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CLIENTS))
    parser.add_argument("--environments", type=Path, default=Path("runtime/data/clients"))
    parser.add_argument("--all", action="store_true", help="also those that take minutes to install")
    options = parser.parse_args()
    if unknown := set(options.names) - CLIENTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    quick = [name for name, client in CLIENTS.items() if client.is_quick or options.all]
    settings = {"LLAMA_SERVER_N_CTX": "16384", "LLAMA_PROXY_RATE_LIMIT": "10000"}
    with Appliance(model=False, **settings) as appliance:
        build(appliance.root / "models" / MODEL, CALLS)
        appliance.start()
        key = appliance.cli("create-user", "--username", "clients", "--quiet").strip()
        results = []
        for name in options.names or quick:
            results.append(
                tried(CLIENTS[name], options.environments.resolve(), appliance.proxy_url, key)
            )
            print(f"{name}: {results[-1].worked}", file=sys.stderr)
    print("\n".join(table(results)))
    return 0 if all(result.is_well for result in results) else 1


def tried(client: Client, folder: Path, url: str, key: str) -> Result:
    """Install a client, and run its script."""
    result, environment = Result(client), Environment(client, folder)
    try:
        environment.install()
        result.version = environment.version()
    except (OSError, subprocess.CalledProcessError) as error:
        result.details.append(f"not installed: {error}")
        return result
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA")}
    env |= {
        "LLAMASERVE_URL": url,
        "LLAMASERVE_KEY": key,
        "LLAMASERVE_MODEL": MODEL,
        "PATH": f"{environment.programs}{os.pathsep}{env['PATH']}",
        "PYTHONPATH": str(HERE / "libraries"),
    }
    try:
        done = subprocess.run(
            environment.command(),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        result.details.append(f"did not end within {LIMIT_S} s")
        return result
    lines = done.stdout.splitlines()
    for line in (line for line in lines if line.startswith('{"capability"')):
        told = json.loads(line)
        result.worked[told["capability"]] = told["ok"]
        if not told["ok"]:
            result.details.append(f"{told['capability']}: {told['detail']}")
    if not result.worked:
        result.details.append("\n".join(lines[-5:]))
    return result


def table(results: list[Result]) -> list[str]:
    """The table in Markdown, and below it what failed."""
    head = f"| client | version | {' | '.join(CAPABILITIES)} |"
    lines = [head, "|---" * (2 + len(CAPABILITIES)) + "|", *(result.row() for result in results), ""]
    return lines + [
        f"- {result.client.title}: {detail}" for result in results for detail in result.details
    ]


if __name__ == "__main__":
    sys.exit(main())
