"""The clients that the tests' own environment has; `python -m tests.clients` tries all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.__main__ import CALLS, MODEL
from tests.clients.environments import CLIENTS, HERE
from tests.clients.scripted_model import build
from tests.support.engine import API_KEY, Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the model that does as it is told."""
    folder = tmp_path_factory.mktemp("clients")
    model = build(folder / MODEL, CALLS)
    with Engine(tmp_path_factory.mktemp("engine"), model) as engine:
        yield engine.start()


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_client_works(engine: Engine, name: str) -> None:
    """Chats, streams, whole rounds of tools, structured answers and errors, in each API it has."""
    env = os.environ | {
        "LLAMASERVE_URL": engine.url,
        "LLAMASERVE_KEY": API_KEY,
        "LLAMASERVE_MODEL": MODEL,
    }
    script = HERE / CLIENTS[name].script
    done = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True, check=False, timeout=120
    )

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) >= 4, done.stderr
    assert [one for one in told if not one["ok"]] == []


def _function(name: str, *properties: str) -> dict[str, Any]:
    texts = {one: {"type": "string"} for one in properties}
    return {"name": name, "parameters": {"type": "object", "properties": texts}}


async def test_a_request_of_codex_is_answered_with_a_call(engine: Engine) -> None:
    """With its kinds of tools, fields of its own, and another function before and after the one."""
    functions = [_function("write_stdin", "session"), _function("exec_command", "cmd", "workdir")]
    member = {"type": "function", **_function("spawn_agent", "message"), "strict": False}
    body = {
        "model": MODEL,
        "input": [
            {"type": "message", "id": "msg_1", "role": role, "content": [_input(text)]}
            for role, text in (("developer", "Skills"), ("user", "Context"), ("user", "Make a file."))
        ],
        "tools": [
            *({"type": "function", "strict": False, **function} for function in functions),
            {"type": "namespace", "name": "multi_agent_v1", "description": "", "tools": [member]},
            {"type": "function", "strict": False, **_function("update_goal", "status")},
            {"type": "web_search", "external_web_access": False},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "key",
        "client_metadata": {"x-codex-turn-metadata": "{}"},
        "store": False,
    }
    answer = await engine.post("/v1/responses", body)

    assert answer.status == 200, answer
    (call,) = answer.json["output"]
    assert (call["name"], json.loads(call["arguments"])) == ("exec_command", CALLS["exec_command"])


async def test_a_request_of_claude_code_is_answered_with_a_call(engine: Engine) -> None:
    """With fields of its own, a system message between the turns, and many tools."""
    functions = [
        _function("Agent", "prompt"),
        _function("Bash", "command", "timeout", "description"),
        _function("BashOutput", "id"),
        _function("Edit", "file"),
    ]
    cached = {"cache_control": {"type": "ephemeral"}}
    body = {
        "model": MODEL,
        "system": [{"type": "text", "text": "You are an agent.", **cached}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Make a file.", **cached}]},
            {"role": "system", "content": "Available agent types"},
        ],
        "tools": [{"name": one["name"], "input_schema": one["parameters"]} for one in functions],
        "metadata": {"user_id": "{}"},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
    }
    headers = {"anthropic-beta": "context-management-2025-06-27", "anthropic-version": "2023-06-01"}
    answer = await engine.post("/v1/messages?beta=true", body, headers=headers)

    assert answer.status == 200, answer
    (call,) = answer.json["content"]
    assert (call["name"], call["input"]) == ("Bash", CALLS["Bash"])


def _input(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


def test_every_client_has_a_script() -> None:
    """And a name of its own in the table."""
    assert all((HERE / client.script).is_file() for client in CLIENTS.values())
    titles = [client.title for client in CLIENTS.values()]
    assert len(set(titles)) == len(titles)
