"""LiteLLM's proxy in front of ours."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request

from report import ANSWER, KEY, MODEL, QUESTION, URL, capability
from support import new_folder


def main() -> None:
    """Ask through it."""
    folder = new_folder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    served = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY}
    models = [{"model_name": "served", "litellm_params": served}]
    configuration = folder / "config.yaml"
    configuration.write_text(json.dumps({"model_list": models}))
    command = ["litellm", "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        proxy = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        with capability("chat"):
            body = {"model": "served", "messages": [{"role": "user", "content": QUESTION}]}
            assert ANSWER in ask(f"http://127.0.0.1:{port}/v1/chat/completions", body)
    finally:
        proxy.terminate()
        proxy.wait(timeout=30)


def ask(url: str, body: object) -> str:
    """The answer, once it listens."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-any"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return str(response.read().decode())
        except ConnectionError:
            time.sleep(1)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(1)
    raise TimeoutError("it does not listen")


main()
