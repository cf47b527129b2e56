"""`console.sh doctor`: finds each problem that exists, and shows how to fix it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.doctor.examination import CHECKS
from tests.support.appliance import Appliance
from tests.support.wait import wait_until

SECRET = "very-secret-indeed"


@pytest.fixture(scope="module")
def shared() -> Iterator[Appliance]:
    """A checkout in which nothing has been started."""
    with Appliance() as appliance:
        subprocess.run(
            ["bash", appliance.root / "runtime/install.sh"], env=appliance.environment, check=True
        )
        yield appliance


@pytest.fixture
def checkout(shared: Appliance) -> Iterator[Appliance]:
    """The same checkout, restored after each test."""
    configuration = dict(shared.configuration)
    yield shared
    shared.configuration = configuration
    shared.configure()
    (shared.root / "runtime/config.env").chmod(0o600)


def examined(appliance: Appliance, *, status: int) -> list[dict[str, Any]]:
    """doctor's findings in JSON. The exit status is as expected; no secret and no traceback is shown."""
    done = appliance.console("doctor", "--json")
    assert done.returncode == status, done.stdout + done.stderr
    for text in (done.stdout, done.stderr):
        assert SECRET not in text
        assert "Traceback" not in text
    answer = json.loads(done.stdout)
    assert answer["ok"] is (status == 0)
    found: list[dict[str, Any]] = answer["findings"]
    assert all(set(one) == {"group", "check", "level", "text", "remedy"} for one in found)
    return found


def levels(found: list[dict[str, Any]], level: str) -> dict[str, dict[str, Any]]:
    """The findings of one level, by check."""
    return {one["check"]: one for one in found if one["level"] == level}


def test_a_healthy_appliance_has_no_problem(running: Appliance) -> None:
    """The model's settings are shown with their reasons; the ports belong to our programs."""
    found = examined(running, status=0)
    assert {one["level"] for one in found} == {"ok"}
    assert {one["check"] for one in found} >= {name for _, name, _, _ in CHECKS} - {
        "certificate",
        "addresses",
        "engines",
    }
    texts = [one["text"] for one in found]
    settings = (
        "slots: 8 (the most unasked)",
        "context: 4096 (the model's own)",
        "threads: ",
        "GPU layers: ",
    )
    for start in (*settings, "memory: about "):
        assert any(text.startswith(start) for text in texts), start
    assert f"port {running.configuration['LLAMA_PROXY_PORT']} is used by the proxy" in texts
    with running.popen("doctor") as gone:
        assert gone.stdout is not None
        gone.stdout.close()
        assert gone.stderr is not None
        assert gone.stderr.read() == "", "that nobody reads on is no fault"
    done = running.console("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("All is well.\n")


def test_a_program_that_came_back_is_told(running: Appliance) -> None:
    """A program that was restarted is a warning, with the command that shows the log."""
    pid = running.kill("proxy")
    wait_until(lambda: running.pid("proxy") not in (0, pid), "the proxy to come back")
    running.until_well()
    found = levels(examined(running, status=0), "warning")["processes"]
    assert found["text"] == "proxy ended and was restarted once since the start"
    assert "logs proxy" in found["remedy"]
    (running.root / "runtime/run/proxy-0.starts").write_text(".")


def test_without_faults_what_does_not_run_is_a_note(checkout: Appliance) -> None:
    """An appliance that was never started has no problems."""
    found = levels(examined(checkout, status=0), "note")
    assert found["processes"]["remedy"] == "./console.sh start"
    assert "not set up yet" in found["database"]["text"]


def test_several_faults_at_once_are_all_told(checkout: Appliance) -> None:
    """A port in use, a key file that others can read, a damaged model, a context that is too long,
    and a missing package are all found."""
    (checkout.root / "runtime/config.env").chmod(0o644)
    (checkout.root / "models/broken.gguf").write_text("no model")
    lock = checkout.root / "runtime/requirements.txt"
    pins = lock.read_text()
    lock.write_text(f"{pins}\nnot-there-at-all==1.0\n")
    try:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            checkout.configure(LLAMA_PROXY_PORT=str(port), LLAMA_SERVER_N_CTX="16777216")
            found = examined(checkout, status=1)
    finally:
        (checkout.root / "models/broken.gguf").unlink()
        lock.write_text(pins)
    problems, warnings = levels(found, "problem"), levels(found, "warning")
    assert set(problems) == {"packages", "permissions", "ports"}
    assert "not-there-at-all missing" in problems["packages"]["text"]
    assert problems["permissions"]["remedy"].startswith("chmod 600 ")
    assert f"port {port}" in problems["ports"]["text"]
    assert f"(pid {os.getpid()})" in problems["ports"]["text"]
    assert set(warnings) == {"files", "chosen"}
    assert "broken.gguf" in warnings["files"]["text"]
    assert warnings["chosen"]["remedy"].startswith("LLAMA_SERVER_N_CTX=")


def test_a_bad_configuration_does_not_keep_the_rest_from_being_examined(checkout: Appliance) -> None:
    """A bad line, an unknown key and a bad value are named with their place; no secret is shown. A
    check that fails is a problem itself."""
    engine = checkout.root / "runtime/requirements-engine.txt"
    pin = engine.read_text()
    engine.unlink()
    checkout.configure(LLAMA_SERVER_PROT="1", LLAMA_SERVER_API_KEY=f"{SECRET} with blanks")
    with (checkout.root / "runtime/config.env").open("a") as file:
        file.write(f"LLAMA_SERVER_API_KEY = {SECRET}\n")
    try:
        found = examined(checkout, status=1)
    finally:
        text = (checkout.root / "runtime/config.env").read_text()
        (checkout.root / "runtime/config.env").write_text("\n".join(text.splitlines()[:-1]) + "\n")
        engine.write_text(pin)
    texts = [one["text"] for one in found if one["check"] == "keys"]
    assert any("unknown key LLAMA_SERVER_PROT" in text for text in texts)
    assert any("runtime/config.env:4:" in text for text in texts)
    assert levels(found, "problem")["engine"]["text"].startswith("cannot be examined (FileNotFound")
    assert levels(found, "ok").keys() >= {"packages", "disk", "clock", "files"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_an_environment_it_says_what_makes_one(checkout: Appliance, form: str) -> None:
    """In both forms, written by the shell alone."""
    arguments = ["doctor"] + (["--json"] if form == "json" else [])
    environment = checkout.environment | {"LLAMA_VENV_DIR": str(checkout.base / 'no "such" place')}
    done = subprocess.run(
        [checkout.root / "console.sh", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    if form == "json":
        (found,) = json.loads(done.stdout)["findings"]
        assert (found["check"], found["remedy"]) == ("python", "./console.sh start creates it")
        assert 'no "such" place' in found["text"]
    else:
        assert "./console.sh start creates it" in done.stdout


def test_a_damaged_environment_is_told_without_a_trace(checkout: Appliance) -> None:
    """A package that cannot be imported is a problem, without a traceback."""
    damaged = checkout.root / "psutil.py"
    damaged.write_text("raise OSError('a library is missing')\n")
    try:
        (found,) = examined(checkout, status=1)
    finally:
        damaged.unlink()
    assert "OSError: a library is missing" in found["text"]
    assert "./console.sh start" in found["remedy"]


def test_a_gpu_that_llama_cpp_was_not_built_for_is_told(
    checkout: Appliance, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a warning, with the command that builds llama.cpp for it."""
    program = directory / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Some GPU'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    found = levels(examined(checkout, status=0), "warning")["gpu"]
    assert "Some GPU" in found["text"]
    assert "-DGGML_CUDA=on" in found["remedy"]
