"""`./console.sh cluster`: what it refuses, what it finds running, and one run with the real Ray."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from runtime.cluster.__main__ import NOT_RUNNING, main
from runtime.cluster.deployment import options
from runtime.cluster.node import Node, NodeError
from runtime.config import ROOT, Config, load
from runtime.engine.settings import EngineSettings
from runtime.models import selection
from tests.support.process import free_port

RAY = Path(f"{sys.prefix}-cluster") / "bin" / "python"
MODEL = ROOT / "models" / "starter" / "llamaserve-starter.gguf"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A configuration of its own."""
    values = {
        "LLAMA_CLUSTER_HOST": "10.99.0.1",
        "LLAMA_CLUSTER_HTTP_PORT": str(free_port()),
        "LLAMA_DATA_DIR": str(tmp_path),
        "LLAMA_SERVER_MODEL": str(MODEL),
        "LLAMA_SERVER_API_KEY": "engine-key",
        "LLAMA_SERVER_PARALLEL": "2",
        "LLAMA_SERVER_STOP_SECONDS": "0",
        "LLAMA_SERVER_N_THREADS": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def config_of(environment: dict[str, str]) -> Config:
    """The configuration, read anew."""
    return load(environ={**os.environ, **environment})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLAMA_CLUSTER_HOST", "", "set LLAMA_CLUSTER_HOST"),
        ("LLAMA_CLUSTER_HOST", "127.0.0.1", "LLAMA_CLUSTER_HOST=127.0.0.1: must be the address"),
        ("LLAMA_SERVER_API_KEY", "", "set LLAMA_SERVER_API_KEY"),
        ("LLAMA_CLUSTER_HOST", "192.0.2.77", "192.0.2.77 is not an address of this machine"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_a_start_that_cannot_work_is_refused_at_once(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the setting's name; nothing is started."""
    monkeypatch.setenv(name, value)
    assert main(["start"]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_a_port_in_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray would try again for ever, with a word in its log."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("LLAMA_CLUSTER_HOST", "127.0.0.2")
        monkeypatch.setenv("LLAMA_CLUSTER_PORT", str(free_port()))
        monkeypatch.setenv("LLAMA_CLUSTER_HTTP_PORT", str(taken.getsockname()[1]))
        assert main(["start"]) == 1
    assert "already in use" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_a_worker_needs_the_head_s_token(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which file to copy where."""
    assert main(["start", "--join", "10.99.0.1:6380"]) == 1
    assert "cluster.token" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_nothing_that_runs_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`status` has an exit status of its own, `stop` succeeds."""
    assert main(["status"]) == NOT_RUNNING
    assert main(["stop"]) == 0
    assert "does not run here" in capsys.readouterr().out


def test_only_its_own_processes_are_found_and_ended(environment: dict[str, str], tmp_path: Path) -> None:
    """All of the session that was started, the first one dead or not; never another's of that number."""
    node = Node(config_of(environment))
    script = "import subprocess; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as first:
        created = psutil.Process(first.pid).create_time()
        folder = tmp_path / "llamaserve-ray-x"
        folder.mkdir()
        state = {"pid": first.pid, "created": created - 100, "folder": str(folder), "joined": None}
        (tmp_path / "cluster.json").write_text(json.dumps(state))
        assert node.processes() == []
        (tmp_path / "cluster.json").write_text(json.dumps({**state, "created": created}))
        assert first.pid in [process.pid for process in node.processes()]
        with pytest.raises(NodeError, match="runs here already"):
            node.start(join=None)
        assert node.stop()
    assert node.processes() == []
    assert not folder.exists()
    assert not node.stop()


def test_the_token_is_secret_and_stays(environment: dict[str, str]) -> None:
    """Who has it can run programs on all machines of the cluster."""
    node = Node(config_of(environment))
    node.make_token()
    text = node.token.read_text()
    assert len(text) == 64
    assert node.token.stat().st_mode & 0o777 == 0o600
    node.make_token()
    assert node.token.read_text() == text


def test_replicas_are_scaled_by_slots(environment: dict[str, str]) -> None:
    """Another one is wanted before all slots are in use, and what generates nothing has room beside."""
    config = config_of({**environment, "LLAMA_CLUSTER_MIN_REPLICAS": "3", "LLAMA_CLUSTER_GPUS": "1"})
    settings = EngineSettings.from_config(config, selection.select(config))
    wanted = options(config, settings)
    assert wanted["max_ongoing_requests"] > settings.n_slots + 32
    scaling = wanted["autoscaling_config"]
    assert 0 < scaling["target_ongoing_requests"] < settings.n_slots
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (3, 4)
    assert wanted["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 1}


RUN = """
import json, subprocess, sys, urllib.request
def command(*words):
    return subprocess.run([sys.executable, "-m", "runtime.cluster", *words], check=True, timeout=150)
def ask(path, body=None):
    headers = {"Authorization": "Bearer engine-key", "X-Llamaserve-Request": "r1"}
    request = urllib.request.Request(URL + path, body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().decode()
URL = sys.argv[1]
command("start")
try:
    print(ask("/health"))
    stream = ask("/v1/completions", b'{"prompt": "Once", "max_tokens": 4, "stream": true}')
    print(stream.count("data: "), stream.endswith("data: [DONE]\\n\\n"))
    print(ask("/internal/usage/r1"))
finally:
    command("stop")
command("stop")
"""


@pytest.mark.skipif(not RAY.exists(), reason="Ray is not installed here")
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root has networks of its own"
)
@pytest.mark.timeout(240)  # Ray takes 20 s to start, and longer to stop
def test_ray_serves_the_engine_and_is_ended(environment: dict[str, str]) -> None:
    """In a network of its own: health, a stream, the usage of a request; then nothing is left."""
    network = 'ip link set lo up && ip address add 10.99.0.1/32 dev lo && exec "$@"'
    url = f"http://127.0.0.1:{environment['LLAMA_CLUSTER_HTTP_PORT']}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", network, "sh", str(RAY), "-c", RUN, url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    health = json.loads(next(line for line in lines if line.startswith('{"status"')))
    assert (health["status"], health["replicas"], health["slots"]) == ("ok", 1, 2)
    assert any(line.endswith("True") for line in lines)
    assert any('"prompt_tokens"' in line for line in lines)
    assert lines[-2:] == ["stopped", "the cluster did not run here"]
