"""The whole appliance in surroundings as they are found: it works, or says what to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.appliance import Appliance
from tests.support.local_user import as_root, mode
from tests.support.own_machine import namespaces
from tests.support.preload import build_preload
from tests.support.process import hear_no_signals

FOLDER = "my checkout with blanks"
STRANGE = {
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "Nowhere/Else",
    "TMPDIR": "/nonexistent",
    "http_proxy": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "PYTHONPATH": "/nonexistent",
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "error",
    "PGOPTIONS": "-c nonsense=1",
    "PGSERVICE": "nonsense",
    "PGTARGETSESSIONATTRS": "standby",
}
MISSING = frozenset("ps pgrep pkill ss netstat lsof fuser ip curl wget locale git".split())
SETUP = """
ip link set lo up
ip addr del 127.0.0.1/8 dev lo
mount --make-rprivate /
mount --bind '{venv}' '{kept}'
mount -t tmpfs -o size=64k none /tmp
mkdir -p '{venv}'
mount --bind '{kept}' '{venv}'
head -c 1m /dev/zero >/tmp/full 2>/dev/null || :
mount -t tmpfs -o ro none /dev/shm
"""
"""The environment of the tests may be below /tmp."""
ASK = """
import json, sys, urllib.error, urllib.request
body = json.dumps({"messages": [{"role": "user", "content": "Grüße"}], "max_tokens": 4}).encode()
headers = {"Authorization": f"Bearer {sys.argv[2]}", "Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1], body, headers)
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with direct.open(request, timeout=60) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


class Surrounded:
    """An appliance whose commands are run in namespaces, with a session that is not an ordinary one."""

    def __init__(self, appliance: Appliance, prefix: list[str], environment: dict[str, str]) -> None:
        self.appliance = appliance
        self._prefix = prefix
        self._environment = environment

    def run(self, *command: str | Path, closed: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command there; with `closed` without standard input, output and error."""
        shell = ["bash", "-c", 'umask 000; exec "$@"' + (" <&- >&- 2>&-" if closed else ""), "bash"]
        return subprocess.run(
            [*self._prefix, *shell, *command],
            env=self._environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            preexec_fn=hear_no_signals,
        )

    def console(self, *arguments: str, closed: bool = False) -> subprocess.CompletedProcess[str]:
        return self.run(self.appliance.root / "console.sh", *arguments, closed=closed)

    def ask(self, key: str) -> str:
        """The status of a chat through the proxy."""
        url = f"http://[::1]:{self.appliance.configuration['LLAMA_PROXY_PORT']}/v1/chat/completions"
        done = self.run(sys.executable, "-I", "-c", ASK, url, key)
        return done.stdout.strip() or done.stderr


@pytest.fixture
def appliance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Appliance]:
    """One outside /tmp, which is full in these surroundings."""
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")  # noqa: S108
    with Appliance(folder=FOLDER, LLAMA_SERVER_HOST="::1", LLAMA_PROXY_HOST="::1") as made:
        yield made


def _path_without(directory: Path, missing: frozenset[str]) -> str:
    """A PATH with all programs but some."""
    directory.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*"):
            link = directory / program.name
            if program.name not in missing and not link.is_symlink():
                link.symlink_to(program)
    return str(directory)


@as_root
@pytest.mark.timeout(300)  # all of an appliance, of which the slowest start counts
def test_everything_works_in_strange_surroundings(appliance: Appliance) -> None:
    """IPv6 alone; no HOME, terminal, descriptors, ps or /dev/shm; /tmp is full; an ASCII locale, umask
    000, blanks in paths, a byte order mark in .env, others' variables of Python and PostgreSQL, HTTP
    proxies that are not there; signals ignored and blocked, and still each process ends at the first.
    Then the clock steps back by a day and forth by two: requests are served, and the window is exact."""
    step = appliance.base / "step"
    step.write_text("0")
    environment = {
        **STRANGE,
        "PATH": _path_without(appliance.base / "bin", MISSING),
        "LLAMA_VENV_DIR": sys.prefix,
        "LD_PRELOAD": str(build_preload(appliance.base)),
        "TEST_CLOCK_STEP": str(step),
    }
    kept = appliance.base / "venv"
    kept.mkdir()
    settings = appliance.root / ".env"
    settings.write_bytes(b"\xef\xbb\xbf" + settings.read_bytes())
    with namespaces(SETUP.format(venv=sys.prefix, kept=kept)) as prefix:
        there = Surrounded(appliance, prefix, environment)
        started = there.console("start", closed=True)
        status = there.console("status", "--json")
        assert started.returncode == 0, status.stdout + appliance.logs()
        assert json.loads(status.stdout)["ok"], status.stdout
        limits = ("--rate-limit", "3", "--rate-window-seconds", "86400")
        made = there.run(
            appliance.root / "bin/user_management_cli.sh", "create-user", "--username", "erin", *limits
        )
        key = re.search(r"lsk_\w+", made.stdout)
        assert key, made.stderr

        answers = []
        for seconds in (0, -86_400, 172_800, 0):
            step.write_text(str(seconds))
            answers.append(there.ask(key[0]))
        assert answers == ["200", "200", "200", "429"]
        assert there.console("status").returncode == 0

        for name in ("config.env", "data/postgres.url", "data/spool", "logs", "run"):
            assert mode(appliance.root / "runtime" / name) & 0o077 == 0, name
        stopped = there.console("stop")
        assert stopped.returncode == 0, stopped.stderr
        assert appliance.leftovers() == []
        supervised = appliance.log("supervisord")
        assert "received SIGTERM indicating exit request" in supervised
        assert "SIGKILL" not in supervised


@as_root
def test_a_read_only_checkout_is_named(appliance: Appliance) -> None:
    """With the directory that must be writable."""
    root = appliance.root
    bind = f"mount --bind '{root}' '{root}'\nmount -o remount,ro,bind '{root}'"
    with namespaces(f"mount --make-rprivate /\n{bind}") as prefix:
        done = Surrounded(appliance, prefix, appliance.environment).console("start")

    assert done.returncode == 1
    assert f"cannot write in {root}/runtime" in done.stderr


@as_root
def test_few_open_files_are_told_with_the_command(appliance: Appliance) -> None:
    """By `start`, in a session that may not raise the limit; nothing is started."""
    may_not = ["setpriv", "--bounding-set=-sys_resource"]
    few = ["bash", "-c", 'ulimit -n 256; exec "$@"', "bash"]
    done = Surrounded(appliance, [*may_not, *few], appliance.environment).console("start")

    assert done.returncode == 1
    for told in ("may open 256 files", "needs 1024", "ulimit -n 4096"):
        assert told in done.stderr
    assert appliance.leftovers() == []
