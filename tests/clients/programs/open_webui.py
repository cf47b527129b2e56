"""Open WebUI: its server lists our model and chats with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

from report import ANSWER, KEY, MODEL, QUESTION, URL, capability
from support import new_folder


def main() -> None:
    """Start it, sign up as its first user, and chat."""
    folder = new_folder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    env = {
        **os.environ,
        "DATA_DIR": str(folder),
        "OPENAI_API_BASE_URL": f"{URL}/v1",
        "OPENAI_API_KEY": KEY,
        "ENABLE_OLLAMA_API": "false",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",
        "WEBUI_SECRET_KEY": "secret",
    }
    command = ["open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        with capability("chat"):
            url = f"http://127.0.0.1:{port}"
            until_well(url)
            user = {"name": "a", "email": "a@example.com", "password": "a-password-1"}
            token = ask(f"{url}/api/v1/auths/signup", user)["token"]
            models = [model["id"] for model in ask(f"{url}/api/models", token=token)["data"]]
            assert MODEL in models
            messages = [{"role": "user", "content": QUESTION}]
            body = {"model": MODEL, "messages": messages, "stream": False}
            done = ask(f"{url}/api/chat/completions", body, token=token)
            assert done["choices"][0]["message"]["content"].strip() == ANSWER
    finally:
        server.terminate()
        server.wait(timeout=30)


def until_well(url: str) -> None:
    """Wait until it listens, a few minutes at most."""
    for _ in range(240):
        try:
            ask(f"{url}/health")
        except (OSError, urllib.error.URLError):
            time.sleep(1)
        else:
            return
    raise TimeoutError("it does not listen")


def ask(url: str, body: object = None, token: str = "") -> Any:
    """A response's JSON."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=120) as response:
        return json.load(response)


main()
