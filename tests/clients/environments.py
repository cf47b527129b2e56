"""The clients that are tried, and the environments that they run in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client and its script."""

    title: str
    environment: str
    """The name of its environment; several clients may share one."""
    script: str
    """Below this directory; .mjs is for Node, with an environment of npm packages."""
    packages: tuple[str, ...]
    shown: str
    """The package whose version is shown."""
    is_quick: bool = True
    """Whether it installs in seconds; the others take minutes or gigabytes."""

    @property
    def is_node(self) -> bool:
        return self.environment.startswith("node")


def _library(title: str, name: str, *packages: str) -> Client:
    script = f"libraries/{name.replace('-', '_')}_python.py"
    return Client(
        title=title, environment=name, script=script, packages=packages, shown=packages[0].split("[")[0]
    )


_NODE = ("openai", "ai", "@ai-sdk/openai", "@ai-sdk/anthropic", "zod")
_AGENTS = ("@openai/codex", "@anthropic-ai/claude-code", "opencode-ai")


def _node(title: str, script: str, shown: str) -> Client:
    packages, environment = (_NODE, "node") if script.endswith(".mjs") else (_AGENTS, "node-agents")
    return Client(title=title, environment=environment, script=script, packages=packages, shown=shown)


def _program(title: str, name: str, script: str, *packages: str, is_quick: bool = True) -> Client:
    return Client(
        title=title,
        environment=name,
        script=f"programs/{script}.py",
        packages=packages,
        shown=packages[0].split("[", maxsplit=1)[0],
        is_quick=is_quick,
    )


CLIENTS: dict[str, Client] = {
    "openai": _library("OpenAI (Python)", "openai", "openai"),
    "openai-node": _node("OpenAI (Node)", "libraries/openai_node.mjs", "openai"),
    "openai-agents": _library("OpenAI Agents SDK", "openai-agents", "openai-agents"),
    "anthropic": _library("Anthropic (Python)", "anthropic", "anthropic"),
    "langchain": _library(
        "LangChain", "langchain", "langchain-openai", "langchain-anthropic", "langchain"
    ),
    "llamaindex": _library(
        "LlamaIndex", "llamaindex", "llama-index-llms-openai-like", "llama-index-core"
    ),
    "litellm": _library("LiteLLM", "litellm", "litellm[proxy]", "anthropic"),
    "litellm-proxy": _program(
        "LiteLLM's proxy", "litellm", "litellm_proxy", "litellm[proxy]", "anthropic"
    ),
    "instructor": _library("instructor", "instructor", "instructor", "anthropic"),
    "pydantic-ai": _library("pydantic-ai", "pydantic-ai", "pydantic-ai-slim[openai,anthropic]"),
    "smolagents": _library("smolagents", "smolagents", "smolagents[openai]"),
    "llm": _program("llm", "llm", "llm", "llm"),
    "vercel-ai": _node("Vercel AI SDK", "libraries/vercel_ai.mjs", "ai"),
    "codex": _node("codex", "programs/codex.py", "@openai/codex"),
    "claude-code": _node("Claude Code", "programs/claude_code.py", "@anthropic-ai/claude-code"),
    "opencode": _node("opencode", "programs/opencode.py", "opencode-ai"),
    "lm-eval": _program(
        *("lm-evaluation-harness", "lm-eval", "lm_eval", "lm-eval[api]", "transformers"), is_quick=False
    ),
    "aiperf": _program("aiperf", "aiperf", "aiperf", "aiperf", is_quick=False),
    "guidellm": _program("guidellm", "guidellm", "guidellm", "guidellm", is_quick=False),
    "open-webui": _program("Open WebUI", "open-webui", "open_webui", "open-webui", is_quick=False),
}


class Environment:
    """A directory with a client's packages, below `folder`; it is made when it is missing."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._path = folder / client.environment

    @property
    def programs(self) -> Path:
        """The directory of its programs."""
        if self._client.is_node:
            return self._path / "node_modules" / ".bin"
        return self._path / "bin"

    def install(self) -> None:
        """Install the packages, if that has not been done.

        Raises:
            subprocess.CalledProcessError: they cannot be installed.
        """
        mark = self._path / "installed"
        if mark.exists():
            return
        self._path.mkdir(parents=True, exist_ok=True)
        if self._client.is_node:
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(self._path)]
            _run([*command, *self._client.packages])
        else:
            uv = shutil.which("uv")
            python = str(self.programs / "python")
            if not (self.programs / "python").exists():
                _run([sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), str(self._path)])
            pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
            _run([*pip, "--quiet", *self._client.packages])
        mark.touch()

    def command(self) -> list[str]:
        """The command that runs the client's script."""
        script = HERE / self._client.script
        if script.suffix != ".mjs":
            python = str(self.programs / "python")
            return [sys.executable if self._client.is_node else python, str(script)]
        # Node looks for packages beside the script.
        for module in script.parent.glob("*.mjs"):
            shutil.copy(module, self._path)
        return ["node", str(self._path / script.name)]

    def version(self) -> str:
        """The version of the client."""
        if self._client.is_node:
            package = self._path / "node_modules" / self._client.shown / "package.json"
            return str(json.loads(package.read_text())["version"])
        code = f"import importlib.metadata as m; print(m.version({self._client.shown!r}))"
        done = subprocess.run(
            [self.programs / "python", "-c", code], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
