"""What the page Connect shows is run with a user's key, through a real proxy and engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys

import pytest

from proxy.admin.client_snippets import Snippet, snippets
from tests.support.dashboard import Stack

MODEL = "slow.gguf"
"""What the engine of these tests serves."""


def snippet(stack: Stack, name: str) -> Snippet:
    made = snippets(url=stack.proxy_url, key=stack.keys["bob"], model=MODEL)
    return next(one for one in made if one.name == name)


async def run(*command: str, **environment: str) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_python(stack: Stack) -> None:
    """OpenAI's library answers. The model of these tests never ends by itself: it is told to."""
    text = snippet(stack, "OpenAI (Python)").text.replace("messages=", "max_tokens=8, messages=")
    assert (await run(sys.executable, "-c", text)).strip()


async def test_curl(stack: Stack) -> None:
    """The shell gives curl what is meant."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    answer = json.loads(await run("bash", "-c", snippet(stack, "curl").text))
    assert answer["choices"][0]["message"]["role"] == "assistant"


async def test_environment_variables(stack: Stack) -> None:
    """OpenAI's and Anthropic's libraries need nothing else."""
    program = """\
import anthropic, openai
messages = [{"role": "user", "content": "Hello"}]
chat = openai.OpenAI().chat.completions.create(model=MODEL, messages=messages, max_tokens=4)
message = anthropic.Anthropic().messages.create(model=MODEL, messages=messages, max_tokens=4)
print(chat.usage.completion_tokens, message.usage.output_tokens)
""".replace("MODEL", repr(MODEL))
    text = snippet(stack, "Environment variables").text
    printed = await run("bash", "-c", f'{text}\nexec "$0" -c "$1"', sys.executable, program)
    assert [0 < int(count) <= 4 for count in printed.split()] == [True, True]
