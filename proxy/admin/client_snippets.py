"""What to paste where, so that a client uses this server.

One table for the user command and the dashboard. What `tests/clients` runs is written as it is run
there; Continue and Cline as their manuals say.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from string import Template
from typing import Literal

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
Language = Literal["sh", "python", "javascript", "json", "yaml", "toml", "text"]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client, and the settings that it needs.

    In `template`, $url, $base (with /v1), $key and $model stand for values, quoted as the language
    quotes a string.
    """

    name: str
    where: str
    """What to do with the text."""
    language: Language
    template: str
    path: str = CHAT
    """The path of the API that it uses."""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """The settings of a client, with this server's values."""

    name: str
    where: str
    language: Language
    text: str
    path: str


_CURL = Client(
    name="curl",
    where="In a terminal.",
    language="sh",
    template="""\
curl $base/chat/completions \\
  -H $authorization \\
  -H "Content-Type: application/json" \\
  -d $chat""",
)
_ENVIRONMENT = Client(
    name="Environment variables",
    where="In a terminal, or in your shell's profile: most clients read them.",
    language="sh",
    template="""\
export OPENAI_BASE_URL=$base OPENAI_API_KEY=$key
export ANTHROPIC_BASE_URL=$url ANTHROPIC_API_KEY=$key""",
)
CLIENTS: tuple[Client, ...] = (
    _CURL,
    _ENVIRONMENT,
    Client(
        name="OpenAI (Python)",
        where="After pip install openai.",
        language="python",
        template="""\
from openai import OpenAI

client = OpenAI(base_url=$base, api_key=$key)
answer = client.chat.completions.create(
    model=$model,
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)""",
    ),
    Client(
        name="OpenAI (Node)",
        where="After npm install openai.",
        language="javascript",
        template="""\
import OpenAI from "openai";

const client = new OpenAI({ baseURL: $base, apiKey: $key });
const answer = await client.chat.completions.create({
  model: $model,
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(answer.choices[0].message.content);""",
    ),
    Client(
        name="LangChain",
        where="After pip install langchain-openai.",
        language="python",
        template="""\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url=$base, api_key=$key, model=$model)
print(model.invoke("Hello!").content)""",
    ),
    Client(
        name="Open WebUI",
        where="In a terminal; then open http://localhost:8080.",
        language="sh",
        template="""\
export OPENAI_API_BASE_URL=$base OPENAI_API_KEY=$key ENABLE_OLLAMA_API=false
open-webui serve""",
    ),
    Client(
        name="Continue",
        where="In ~/.continue/config.yaml.",
        language="yaml",
        template="""\
name: Llamaserve
version: 1.0.0
schema: v1
models:
  - name: Llamaserve
    provider: openai
    model: $model
    apiBase: $base
    apiKey: $key
    roles: [chat, edit, apply]""",
    ),
    Client(
        name="Cline",
        where="In Cline's settings, with the API provider OpenAI Compatible.",
        language="text",
        template="""\
Base URL   $base
API Key    $key
Model ID   $model""",
    ),
    Client(
        name="opencode",
        where="In opencode.json; then opencode -m llamaserve/MODEL.",
        language="json",
        template="""\
{
  "provider": {
    "llamaserve": {
      "npm": "@ai-sdk/openai-compatible",
      "options": { "baseURL": $base, "apiKey": $key },
      "models": { $model: {} }
    }
  }
}""",
    ),
    Client(
        name="codex",
        where="In ~/.codex/config.toml, with the key in the environment as LLAMASERVE_KEY.",
        language="toml",
        template="""\
# export LLAMASERVE_KEY=$key
model = $model
model_provider = "llamaserve"
web_search = "disabled"

[model_providers.llamaserve]
name = "llamaserve"
base_url = $base
env_key = "LLAMASERVE_KEY"
wire_api = "responses\"""",
        path=RESPONSES,
    ),
    Client(
        name="Claude Code",
        where="In a terminal.",
        language="sh",
        template="""\
export ANTHROPIC_BASE_URL=$url ANTHROPIC_AUTH_TOKEN=$key
export ANTHROPIC_MODEL=$model ANTHROPIC_SMALL_FAST_MODEL=$model
claude""",
        path=MESSAGES,
    ),
)


def snippets(*, url: str, key: str, model: str) -> list[Snippet]:
    """The settings of all clients.

    Args:
        url: the proxy's, without /v1.
        key: a user's key, or what stands for it.
        model: the name that `GET /v1/models` shows.
    """
    return [snippet(client, url=url, key=key, model=model) for client in CLIENTS]


def snippet(client: Client, *, url: str, key: str, model: str) -> Snippet:
    """The settings of one client."""
    quote = _quoting(client.language)
    values = {"url": url, "base": f"{url}/v1", "key": key, "model": model}
    quoted = {name: quote(value) for name, value in values.items()}
    return Snippet(
        name=client.name,
        where=client.where,
        language=client.language,
        text=Template(client.template).substitute(
            quoted, authorization=_double_quoted(f"Authorization: Bearer {key}"), chat=_chat(model)
        ),
        path=client.path,
    )


def curl(url: str, key: str) -> str:
    """A chat with curl, which names no model."""
    return snippet(_CURL, url=url, key=key, model="").text


def environment(url: str, key: str) -> str:
    """The variables that OpenAI's and Anthropic's libraries read."""
    return snippet(_ENVIRONMENT, url=url, key=key, model="").text


def _quoting(language: Language) -> Callable[[str], str]:
    if language == "sh":
        return shlex.quote
    # A string of JSON is one of Python, JavaScript, YAML and TOML too.
    return str if language == "text" else json.dumps


def _double_quoted(text: str) -> str:
    """As people write a header for curl, where no character of it means something to a shell."""
    return f'"{text}"' if not set(text) & set('$`"\\!') else shlex.quote(text)


def _chat(model: str) -> str:
    body = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 64}
    return shlex.quote(json.dumps({"model": model, **body} if model else body))
