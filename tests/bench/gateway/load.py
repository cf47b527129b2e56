"""Load on a gateway: wrk where it is installed, else the loop that comes with this.

Both run as processes of their own and keep a number of connections busy, each with one request at a
time. Streams that are looked at piece by piece are always the bundled loop's.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from runtime.config import ROOT
from tests.bench.gateway.loop import BROKEN, Job, Outcome

_SCRIPT = Path(__file__).with_name("wrk.lua")
_SPARE_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a run.

    Args:
        requests: whole answers, refusals among them.
        refused: answers with a status of 400 or more.
        broken: requests without a whole answer.
    """

    requests: int
    seconds: float
    median_ms: float
    refused: int
    broken: int


class Load:
    """Sends requests.

    Args:
        tool: wrk, loop, or auto: wrk where it is on the PATH.

    Raises:
        FileNotFoundError: wrk is wanted and is not there.
        ValueError: it is none of these.
    """

    def __init__(self, tool: str = "auto") -> None:
        if tool not in ("wrk", "loop", "auto"):
            raise ValueError("must be wrk, loop or auto")
        self._wrk = shutil.which("wrk") if tool != "loop" else None
        if tool == "wrk" and self._wrk is None:
            raise FileNotFoundError("wrk is not on the PATH: install it (Debian: apt install wrk)")

    @property
    def description(self) -> str:
        """A name for the report."""
        if self._wrk is None:
            return "bundled asyncio loop (with wrk on the PATH, Debian package wrk, it disturbs less)"
        done = subprocess.run([self._wrk, "-v"], capture_output=True, text=True, check=False)
        version = re.search(r"wrk\s+\S+", done.stdout + done.stderr)
        return f"{version[0] if version else 'wrk'} with one thread"

    def possible_s(self, seconds: float) -> float:
        """The next longer time that the tool can do: wrk knows whole seconds only."""
        return seconds if self._wrk is None else math.ceil(seconds)

    def run(self, job: Job) -> Result:
        """Do a job with whichever tool there is."""
        if self._wrk is None or job.requests:
            return _result(pieces(job))
        return self._run_wrk(self._wrk, job)

    def _run_wrk(self, wrk: str, job: Job) -> Result:
        with tempfile.TemporaryDirectory() as directory:
            body, headers, keys = (Path(directory) / name for name in ("body", "headers", "keys"))
            body.write_text(job.body)
            headers.write_text("".join(f"{name}: {value}\n" for name, value in job.headers.items()))
            keys.write_text("".join(f"{key}\n" for key in job.keys))
            seconds = math.ceil(job.seconds)
            often = ["-t1", f"-c{job.connections}", f"-d{seconds}s", "--timeout", "30s"]
            url = f"http://127.0.0.1:{job.port}/v1/chat/completions"
            files = [str(body), str(headers), str(keys)]
            done = subprocess.run(
                [wrk, *often, "--latency", "-s", str(_SCRIPT), url, "--", *files],
                capture_output=True,
                text=True,
                check=True,
                timeout=job.seconds + _SPARE_S,
            )
        found = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
        assert found, done.stdout + done.stderr
        return Result(**json.loads(found[0]))


class RunningLoop:
    """The bundled loop at its work on a job. A context: what is left of it is killed at its end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._first = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.gateway.loop"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        json.dump(asdict(self._job), self._process.stdin)
        self._process.stdin.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_begun(self) -> bool:
        """Wait until each connection has had the first of an answer; False if that never comes."""
        assert self._process.stdout is not None
        self._first = self._process.stdout.readline()
        return self._first == "begun\n"

    def outcome(self) -> Outcome:
        """Wait for the end of the job."""
        assert self._process.stdout is not None
        lines = (self._first + self._process.stdout.read()).splitlines()
        assert self._process.wait() == 0, "the load loop failed"
        return Outcome(**json.loads(lines[-1]))


def pieces(job: Job) -> Outcome:
    """Do a job with the bundled loop, which looks at the pieces of answers."""
    with RunningLoop(job) as loop:
        return loop.outcome()


def _result(outcome: Outcome) -> Result:
    broken = outcome.statuses.get(BROKEN, 0)
    return Result(
        requests=sum(outcome.statuses.values()) - broken,
        seconds=outcome.seconds,
        median_ms=outcome.total_ms,
        refused=sum(
            count
            for status, count in outcome.statuses.items()
            if status != BROKEN and int(status) >= HTTPStatus.BAD_REQUEST
        ),
        broken=broken,
    )
