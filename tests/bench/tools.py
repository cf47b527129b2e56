"""How many calls of tools are valid, and what many tools cost before the first token.

    runtime/.venv/bin/python -m tests.bench.tools [--requests 200] [--model FILE]

Random tools and prompts at temperature 1, with a model of random weights whose template has a syntax
for calls, or with a model's file. `required` demands a call. With `auto` the model begins one if it
wants to; one of random weights is made to (`logit_bias`). From there on the call must be valid. A call
that `max_tokens` cuts is counted apart. The arguments are checked by jsonschema.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from jsonschema import ValidationError, validate

from tests.bench.report import Table, machine
from tests.support.client import Answer
from tests.support.engine import Engine
from tests.support.gguf import build_model
from tests.support.templates import HERMES_MARKS, HERMES_TEMPLATE
from tests.support.tool_generator import random_tool

Json = dict[str, Any]

MANY_TOOLS = 20
MANY_BYTES = 24_000
MAX_TOKENS = 600
_WORDS = ("weather", "file", "Paris", "list", "please", "now", "count", "of", "the", "42")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--model", type=Path, help="a GGUF file")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or Path(folder) / "model.gguf"
        if options.model is None:
            build_model(
                model, chat_template=HERMES_TEMPLATE, user_defined=HERMES_MARKS, context_length=32_768
            )
        n_ctx = "16384" if options.model else "32768"
        env = {"LLAMA_SERVER_N_CTX": n_ctx, "LLAMA_SERVER_N_THREADS": "", "LLAMA_SERVER_PARALLEL": "1"}
        with Engine(Path(folder) / "engine", model, env=env) as engine:
            engine.start()
            measuring = _measure(engine, options.requests, options.rounds, options.model is None)
            failed = asyncio.run(measuring)
    return 1 if failed else 0


async def _measure(engine: Engine, n_requests: int, rounds: int, is_random: bool) -> bool:
    for name, value in machine().items():
        print(f"{name}: {value}")
    modes: dict[str, Json] = {"required": {"tool_choice": "required"}}
    if is_random:
        modes["auto, begun"] = {"logit_bias_type": "tokens", "logit_bias": {HERMES_MARKS[0]: 100}}
    else:
        modes["auto"] = {}
    failed = False
    for mode, body in modes.items():
        counts = Counter([await _outcome(engine, seed, body) for seed in range(n_requests)])
        failed = failed or counts["invalid"] > 0
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        print(f"{mode}: {n_requests} requests: {shown}", flush=True)
    print()
    print((await _first_tokens(engine, rounds)).text())
    return failed


async def _outcome(engine: Engine, seed: int, more: Json) -> str:
    draw = random.Random(seed)  # noqa: S311 - no secret
    tools = [random_tool(draw, number) for number in range(draw.randrange(1, 6))]
    words = " ".join(draw.choices(_WORDS, k=12))
    answer = await engine.chat(
        messages=[{"role": "user", "content": words}],
        tools=tools,
        temperature=1,
        seed=seed,
        max_tokens=MAX_TOKENS,
        **more,
    )
    return _judged(answer, tools)


def _judged(answer: Answer, tools: list[Json]) -> str:
    if answer.status != 200:
        print(answer.text)
        return "invalid"
    calls = answer.choice["message"].get("tool_calls", ())
    is_cut = answer.choice["finish_reason"] == "length"
    if not calls:
        return "cut before the call" if is_cut else "text"
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    for call in calls[:-1] if is_cut else calls:
        schema = functions[call["function"]["name"]].get("parameters", {"maxProperties": 0})
        try:
            validate(json.loads(call["function"]["arguments"]), schema)
        except (ValidationError, ValueError) as error:
            print(error, call, schema)
            return "invalid"
    return "valid, the last call cut" if is_cut else "valid"


async def _first_tokens(engine: Engine, rounds: int) -> Table:
    """With new tools, with the same again, and without tools."""
    table = Table(
        title=f"Time to the first token, ms; {MANY_TOOLS} tools of {MANY_BYTES // 1000} kB together",
        columns=["no tools", "first time", "second time"],
    )
    for number in range(rounds):
        draw = random.Random(number)  # noqa: S311 - no secret
        tools = [
            random_tool(draw, number * 100 + one, description_characters=MANY_BYTES // MANY_TOOLS - 250)
            for one in range(MANY_TOOLS)
        ]
        table.add("", "no tools", await _first_token_ms(engine, []))
        table.add("", "first time", await _first_token_ms(engine, tools))
        table.add("", "second time", await _first_token_ms(engine, tools))
    return table


async def _first_token_ms(engine: Engine, tools: list[Json]) -> float:
    began = time.perf_counter()
    async with engine.streaming(tools=tools, max_tokens=4) as response:
        assert response.status == 200, await response.text()
        await response.content.readany()
        elapsed_s = time.perf_counter() - began
        await response.read()
    return elapsed_s * 1000


if __name__ == "__main__":
    sys.exit(main())
