"""LiteLLM's proxy in front of ours: its own key outside, a user's key of ours inside."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request

import anthropic
import openai
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability
from support import free_port, new_folder, written

MASTER_KEY = "sk-a-key-of-litellm-that-is-long-enough-0123456789"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MESSAGES = [{"role": "user", "content": QUESTION}]


def main() -> None:
    """Start it, and ask through it in three APIs."""
    folder, port = new_folder(), free_port()
    served = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY}
    models = [{"model_name": "served", "litellm_params": served}]
    configuration = written(folder / "config.yaml", {"model_list": models})
    command = ["litellm", "--config", configuration, "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "LITELLM_MASTER_KEY": MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (folder / "log").open("wb") as log:
        proxy = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until_well(url, proxy)
        try_openai_s(openai.OpenAI(base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0))
        client = anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0)
        with capability("messages"):
            done = client.messages.create(model="served", messages=MESSAGES, max_tokens=300)
            assert done.content[0].text.strip() == ANSWER
    finally:
        proxy.terminate()
        proxy.wait(timeout=30)


def try_openai_s(client: openai.OpenAI) -> None:
    """Try chats and responses."""
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
    chat = client.chat.completions
    with capability("chat"):
        done = chat.create(model="served", messages=MESSAGES)
        assert done.choices[0].message.content.strip() == ANSWER
    with capability("stream"):
        chunks = list(chat.create(model="served", messages=MESSAGES, stream=True))
        texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        assert "".join(texts).strip() == ANSWER
    with capability("tools"):
        done = chat.create(model="served", messages=MESSAGES, tools=[tool])
        (call,) = done.choices[0].message.tool_calls
        assert CITY in call.function.arguments
        result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
        history = [*MESSAGES, done.choices[0].message, result]
        done = chat.create(model="served", messages=history, tools=[tool])
        assert done.choices[0].message.content.strip() == ANSWER
    with capability("responses"):
        response = client.responses.create(model="served", input=QUESTION)
        assert response.output_text.strip() == ANSWER
    with capability("errors"):
        refused = ""
        try:
            chat.create(model="served", messages=MESSAGES, logprobs=True, top_logprobs=21)
        except openai.BadRequestError as error:
            refused = str(error)
        assert "top_logprobs" in refused


def until_well(url: str, proxy: subprocess.Popen[bytes]) -> None:
    """Wait until it listens, five minutes at most.

    Raises:
        RuntimeError: it has ended.
    """
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            if proxy.poll() is not None:
                raise RuntimeError("LiteLLM's proxy has ended; its log says why") from None
            time.sleep(1)
    raise TimeoutError("it does not listen")


main()
