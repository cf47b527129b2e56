"""How many calls of tools are valid, and what many tools cost before the first token.

    ./console.sh bench tools [--requests 200] [--rounds 5] [--model FILE]

Random tools and prompts at temperature 1, with a model of random weights whose template has a syntax
for calls, or with a model's file. `required` demands a call. With `auto` the model begins one if it
wants to: one of random weights is made to (`logit_bias`), one of a file has a history in which each
question was answered with a call. From there on the call must be valid. A call that `max_tokens` cuts
is counted apart. The arguments are checked by jsonschema. No requests, or no rounds: that part is left
out.
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
N_CTX, LETTERS_N_CTX = 16_384, 32_768
"""Of a model's file, and of the model whose tokens are letters."""
AT_ONCE = 4
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
        n_ctx = N_CTX if options.model else LETTERS_N_CTX
        if options.model is None:
            build_model(
                model,
                chat_template=HERMES_TEMPLATE,
                user_defined=HERMES_MARKS,
                context_length=LETTERS_N_CTX,
            )
        for name, value in machine().items():
            print(f"{name}: {value}")
        failed = False
        if options.requests:
            with _engine(Path(folder) / "counted", model, AT_ONCE, n_ctx) as engine:
                failed = asyncio.run(_count(engine, options.requests, options.model is None))
        if options.rounds:
            with _engine(Path(folder) / "timed", model, 1, n_ctx) as engine:
                print(asyncio.run(_first_tokens(engine, options.rounds)).text())
    return 1 if failed else 0


def _engine(folder: Path, model: Path, n_slots: int, n_ctx: int) -> Engine:
    """A started engine, with a context for 24 kB of tools in each slot."""
    folder.mkdir()
    env = {
        "LLAMA_SERVER_N_CTX": str(n_ctx),
        "LLAMA_SERVER_N_THREADS": "",
        "LLAMA_SERVER_PARALLEL": str(n_slots),
    }
    return Engine(folder, model, env=env).start()


async def _count(engine: Engine, n_requests: int, is_random: bool) -> bool:
    """Print what came of the requests in each mode; whether a call was not valid."""
    modes: dict[str, Json] = {"required": {"tool_choice": "required"}}
    if is_random:
        modes["auto, begun"] = {"logit_bias_type": "tokens", "logit_bias": {HERMES_MARKS[0]: 100}}
    else:
        modes["auto, after other calls"] = {}
    failed, at_once = False, asyncio.Semaphore(AT_ONCE)

    async def outcome(seed: int, body: Json, has_history: bool) -> str:
        async with at_once:
            return await _outcome(engine, seed, body, has_history=has_history)

    for mode, body in modes.items():
        has_history = not body
        seeds = range(n_requests)
        counts = Counter(await asyncio.gather(*(outcome(seed, body, has_history) for seed in seeds)))
        failed = failed or counts["invalid"] > 0
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        print(f"{mode}: {n_requests} requests: {shown}", flush=True)
    print()
    return failed


async def _outcome(engine: Engine, seed: int, more: Json, *, has_history: bool) -> str:
    draw = random.Random(seed)  # noqa: S311 - no secret
    tools = [random_tool(draw, number) for number in range(draw.randrange(1, 6))]
    history = _history(draw, tools) if has_history else []
    answer = await engine.chat(
        messages=[*history, {"role": "user", "content": _words(draw)}],
        tools=tools,
        temperature=1,
        seed=seed,
        max_tokens=MAX_TOKENS,
        **more,
    )
    return _judged(answer, tools)


def _words(draw: random.Random) -> str:
    return " ".join(draw.choices(_WORDS, k=12))


def _history(draw: random.Random, tools: list[Json]) -> list[Json]:
    """Three questions, each answered with a call and its result."""
    messages: list[Json] = []
    for number in range(3):
        function = {"name": draw.choice(tools)["function"]["name"], "arguments": "{}"}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        messages += [
            {"role": "user", "content": _words(draw)},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "done"},
        ]
    return messages


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
        offers = {"no tools": list[Json](), "first time": tools, "second time": tools}
        for column, offered in offers.items():
            elapsed_ms = await _first_token_ms(engine, offered)
            print(f"round {number + 1}, {column}: {elapsed_ms:.0f} ms", file=sys.stderr, flush=True)
            table.add("", column, elapsed_ms)
    return table


async def _first_token_ms(engine: Engine, tools: list[Json]) -> float:
    began = time.perf_counter()
    async with engine.streaming(tools=tools, max_tokens=4) as response:
        assert response.status == 200, await response.text()
        came = b""
        while b"data: " not in came:  # comments keep the connection open meanwhile
            came += await response.content.readany()
        elapsed_s = time.perf_counter() - began
        await response.read()
    return elapsed_s * 1000


if __name__ == "__main__":
    sys.exit(main())
