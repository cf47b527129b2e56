"""Other gateways, to be measured beside ours: where they are looked for, and how each is started.

None is installed by this, and none comes with the checkout: PEERS tells how to get each. Each gets the
least that it can be run with, which is what costs it least: no database, no logs of requests, one
worker, and of keys what the table of its `start` says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.gateway.mock import MODEL
from tests.support.process import free_port

KEY = "sk-bench-0123456789"
DEFAULT_DIRECTORY = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llamaserve-bench"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a peer is to run.

    Args:
        installed: the directory that peers are installed in.
        folder: of its own, to be thrown away, for configuration.
        port: to listen on.
        engine_port: to forward to; both on 127.0.0.1.
    """

    installed: Path
    folder: Path
    port: int
    engine_port: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How it is started, and what requests to it must have."""

    command: list[str]
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A gateway that others made.

    Args:
        installation: what to type to have it, with `{}` for the directory of peers.
        launch: None where it is not installed.
    """

    name: str
    installation: str
    launch: Callable[[Place], Launch | None]


def _nginx(place: Place) -> Launch | None:
    """A bare proxy_pass that keeps its connections, one worker; it knows no keys.

    Nothing goes to disk, and of streams it holds back nothing, since the mock says so in a header.
    """
    program = shutil.which(
        "nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )
    if program is None:
        return None
    user = "user root;" if os.geteuid() == 0 else ""
    (place.folder / "nginx.conf").write_text(f"""
        {user}
        worker_processes 1;
        daemon off;
        pid nginx.pid;
        error_log stderr;
        events {{ worker_connections 8192; }}
        http {{
            access_log off;
            client_max_body_size 16m;
            client_body_buffer_size 2m;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            keepalive_requests 1000000000;
            upstream engine {{
                server 127.0.0.1:{place.engine_port};
                keepalive 1024;
                keepalive_requests 1000000000;
            }}
            server {{
                listen 127.0.0.1:{place.port} backlog=1024;
                location / {{
                    proxy_pass http://engine;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_max_temp_file_size 0;
                }}
            }}
        }}
    """)
    folder = str(place.folder)
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    return Launch(
        command=[program, "-p", folder, "-c", f"{folder}/nginx.conf", "-e", "stderr"],
        version=done.stderr.strip().rpartition("nginx/")[2],
    )


def _router(place: Place) -> Launch | None:
    """One API key, one worker behind it."""
    python = place.installed / "router" / "bin" / "python"
    version = _version_in(python, "sglang-router")
    if version is None:
        return None
    options = {
        "--host": "127.0.0.1",
        "--port": str(place.port),
        "--worker-urls": f"http://127.0.0.1:{place.engine_port}",
        "--policy": "random",
        "--api-key": KEY,
        "--log-level": "error",
        "--prometheus-port": str(free_port()),
    }
    command = [str(python), "-m", "sglang_router.launch_router"]
    return Launch(command=[*command, *sum(options.items(), ())], version=version, key=KEY)


def _litellm(place: Place) -> Launch | None:
    """A master key, no database."""
    program = place.installed / "litellm" / "bin" / "litellm"
    version = _version_in(program.with_name("python"), "litellm")
    if version is None:
        return None
    model = {
        "model": f"openai/{MODEL}",
        "api_base": f"http://127.0.0.1:{place.engine_port}/v1",
        "api_key": "unused",
    }
    configuration = {
        "model_list": [{"model_name": MODEL, "litellm_params": model}],
        "general_settings": {"master_key": KEY},
    }
    file = place.folder / "litellm.yaml"
    file.write_text(json.dumps(configuration))  # which is YAML too
    options = ["--config", str(file), "--host", "127.0.0.1", "--port", str(place.port)]
    return Launch(
        command=[str(program), *options, "--num_workers", "1", "--telemetry", "False"],
        environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        version=version,
        key=KEY,
    )


def _portkey(place: Place) -> Launch | None:
    """It asks for no key of its own and passes the engine's on."""
    package = place.installed / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    node = shutil.which("node")
    if node is None or not package.is_dir():
        return None
    engine = f"http://127.0.0.1:{place.engine_port}/v1"
    return Launch(
        command=[node, str(package / "build" / "start-server.js"), f"--port={place.port}", "--headless"],
        environment={"NODE_ENV": "production"},
        version=json.loads((package / "package.json").read_text())["version"],
        headers={"x-portkey-provider": "openai", "x-portkey-custom-host": engine},
        key="unused",
    )


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="nginx",
            installation="the system's package nginx (Debian: apt install nginx-light)",
            launch=_nginx,
        ),
        Peer(
            name="router",
            installation="python3 -m venv {0}/router && {0}/router/bin/pip install sglang-router==0.3.2",
            launch=_router,
        ),
        Peer(
            name="litellm",
            installation="python3 -m venv {0}/litellm && "
            "{0}/litellm/bin/pip install 'litellm[proxy]==1.108.7'",
            launch=_litellm,
        ),
        Peer(
            name="portkey",
            # With a newer node-server it answers every stream with a 500 (its issue 1389).
            installation="npm install --prefix {0}/portkey @portkey-ai/gateway@1.15.2 "
            "@hono/node-server@1.13.8 @hono/node-ws@1.2.0   (needs Node.js)",
            launch=_portkey,
        ),
    )
}


def installed_version(peer: Peer, installed: Path) -> str | None:
    """The version of a peer; None where it is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        launch = peer.launch(
            Place(installed=installed, folder=Path(folder), port=1024, engine_port=1025)
        )
    return None if launch is None else launch.version


def _version_in(python: Path, package: str) -> str | None:
    """A package's version in an environment; None where there is no such environment or package."""
    if not python.exists():
        return None
    program = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout.strip() if re.fullmatch(r"[0-9][^\s]*\s*", done.stdout) else None
