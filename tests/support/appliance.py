"""A real appliance for tests: console.sh in a copy of the tree, with ports and data of its own.

The copy shares the Python environment the tests run in (LLAMA_VENV_DIR), so that it costs seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runtime.config import KEYS, ROOT
from tests.support.gguf import build_model
from tests.support.process import free_port, heed_interrupts
from tests.support.wait import wait_until

MODEL = "tiny.gguf"
STATE_DIR = Path("/var/lib/llamaserve")
"""Where runtime/postgres/control.sh keeps root's databases that its own user cannot reach elsewhere."""


def copy_tree(target: Path, *, tests: bool = False) -> None:
    """Copy what git has or would take of this checkout, with its tests or without them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in map(os.fsdecode, filter(None, names.split(b"\0"))):
        source = ROOT / name
        if (name.startswith("tests/") and not tests) or not source.is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name)


def _command_lines() -> Iterator[tuple[str, str]]:
    """Number and command line of every process; slim containers have no ps."""
    if not Path("/proc/self/cmdline").exists():
        command = ["ps", "-A", "-ww", "-o", "pid=", "-o", "command="]
        rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for row in rows.splitlines():
            pid, _, line = row.strip().partition(" ")
            yield pid, line
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            line = os.fsdecode((folder / "cmdline").read_bytes()).replace("\0", " ")
            if line:
                yield folder.name, line


def _working_directory(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # it has ended, or this is no Linux
        return ""


class Appliance:
    """Owns a checkout and its processes; `close`, or leaving the context, ends and removes them.

    `configuration` goes to the copy's .env, beside two free ports. `model` False leaves models/
    empty. `folder` is the name of the checkout's directory.
    """

    def __init__(
        self, *, model: bool = True, folder: str = "my appliance", **configuration: str
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="llamaserve-"))
        self.base.chmod(0o711)  # where root runs it, Postgres's own user goes through it
        self.root = self.base / folder
        copy_tree(self.root)
        self._processes: list[subprocess.Popen[str]] = []
        self.configuration = {
            "LLAMA_SERVER_PORT": str(free_port()),
            "LLAMA_PROXY_PORT": str(free_port()),
            # It takes seconds to start, and its own tests have it.
            "LLAMA_DASHBOARD_ENABLED": "0",
            "LLAMA_DASHBOARD_PORT": str(free_port()),
        } | configuration
        self.configure()
        if model:
            self.add_model(MODEL)

    def configure(self, **values: str) -> None:
        """Write these settings to .env, in addition to those it has."""
        self.configuration |= values
        lines = [f"{name}='{value}'\n" for name, value in self.configuration.items()]
        (self.root / ".env").write_text("".join(lines))

    def add_model(self, name: str, *, seed: int = 0) -> Path:
        """Build a small model in models/."""
        return build_model(self.root / "models" / name, seed=seed)

    @property
    def server_url(self) -> str:
        return f"http://127.0.0.1:{self.configuration['LLAMA_SERVER_PORT']}"

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.configuration['LLAMA_PROXY_PORT']}"

    @property
    def server_key(self) -> str:
        """The server's own key, as the installation wrote it."""
        text = (self.root / "runtime/config.env").read_text()
        return text.partition("LLAMA_SERVER_API_KEY=")[2].splitlines()[0]

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in KEYS}
        return ours | {"LLAMA_VENV_DIR": sys.prefix}

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Run console.sh without waiting for its end."""
        process = subprocess.Popen(
            [self.root / "console.sh", *arguments],
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
            **options,
        )
        self._processes.append(process)
        return process

    def console(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run console.sh and return its result, also a failure."""
        process = self.popen(*arguments)
        output, errors = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, *arguments: str) -> str:
        """Start the appliance and return the output; AssertionError with all messages if it fails."""
        return self._succeed("start", *arguments)

    def stop(self) -> None:
        self._succeed("stop")

    def restart(self, *arguments: str) -> str:
        return self._succeed("restart", *arguments)

    def _succeed(self, *arguments: str) -> str:
        done = self.console(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """The output of `status --json`, with the processes by name."""
        done = self.console("status", "--json")
        assert done.stdout, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        status["processes"] = {part["name"]: part for part in status["processes"]}
        return status

    def supervision(self, *arguments: str) -> None:
        """Start or stop one part through supervisord, as the console's commands do."""
        script = (
            ". runtime/shell/lib.sh; . runtime/supervisor/supervise.sh; "
            'init_supervision; supervision "$@"'
        )
        subprocess.run(
            ["bash", "-c", script, "bash", *arguments], cwd=self.root, env=self.environment, check=True
        )

    def pid(self, name: str) -> int:
        """The process of postgres, server, proxy or supervisord; 0 when there is none."""
        if name == "supervisord":
            file = self.root / "runtime/run/supervisord.pid"
            # Empty for a moment, while it is being written.
            return int(file.read_text() or 0) if file.exists() else 0
        return self.status()["processes"][name]["pid"] or 0

    def kill(self, name: str) -> int:
        """Kill a process, as a crash does, and return its pid."""
        pid = self.pid(name)
        assert pid, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_well(self, *, deadline_s: float = 30) -> dict[str, Any]:
        """Wait until every enabled part is up, and return the status."""
        seen: list[dict[str, Any]] = []

        def is_well() -> bool:
            seen.append(self.status())
            return bool(seen[-1]["ok"])

        try:
            wait_until(is_well, "all to be up", deadline_s=deadline_s)
        except AssertionError as error:
            error.add_note(f"at last: {seen[-1]}")
            raise
        return seen[-1]

    def cli(self, *arguments: str) -> str:
        """Run bin/user_management_cli.sh and return its output."""
        done = subprocess.run(
            [self.root / "bin/user_management_cli.sh", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def log(self, name: str) -> str:
        """A log's text; empty when there is none."""
        path = self.root / "runtime/logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        """The ends of all logs, shown when a test fails."""
        names = ("install", "supervisord", "postgres", "server", "proxy", "dashboard")
        return "\n".join(f"== {name}.log\n{self.log(name)[-3000:]}" for name in names)

    def leftovers(self) -> list[str]:
        """The processes of this checkout, found by command line or working directory."""
        sum_and_length = subprocess.run(
            ["cksum"], input=os.fsencode(self.root.resolve()), capture_output=True, check=True
        ).stdout.split()
        mark = "llamaserve={}-{}".format(*map(bytes.decode, sum_and_length))
        found = []
        for pid, line in _command_lines():
            works_in = _working_directory(pid)
            if mark in line or str(self.base) in line or str(self.base) in works_in:
                found.append(f"{pid} {line} in {works_in}")
        return found

    def close(self) -> None:
        """Stop everything and remove the checkout."""
        self.console("stop")
        for left in self.leftovers():
            os.kill(int(left.split()[0]), signal.SIGKILL)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            with process:
                pass  # closes its pipes and takes its exit status
        data = self.root / "runtime/data/postgres"
        if data.is_symlink() and data.readlink().is_relative_to(STATE_DIR):
            shutil.rmtree(data.readlink().parent, ignore_errors=True)
        shutil.rmtree(self.base)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.logs())
        self.close()
