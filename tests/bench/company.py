"""Whether an answer is the same in company as alone.

    ./console.sh bench company --model FILE [--prompts 30,280,920]

Asks eight questions at temperature 0, one after the other, the same again, and all at once, each time
as another user, so that nothing that was read before is used again. Prints how many of the answers were
the first ones. Prompts are made about as long as `--prompts` says, in tokens. With flash attention and
without.

Starts the engine itself, on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from itertools import count
from pathlib import Path

from tests.support.client import CHAT
from tests.support.engine import Engine

QUESTIONS = (
    "What is the capital of France?",
    "Write a short poem about the sea.",
    "Explain photosynthesis in two sentences.",
    "Name three fruits and their colours.",
    "How do I boil an egg?",
    "Tell me a story about a fox.",
    "What is 12 times 7?",
    "Why is the sky blue?",
)
MAX_TOKENS = 48
ITEM_TOKENS = 10
"""Of a line that makes a prompt longer, about."""
USERS = count()


def main(arguments: list[str]) -> int:
    """Ask, compare and print."""
    parser = argparse.ArgumentParser(prog="./console.sh bench company")
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--prompts", default="30,280,920", help="lengths in tokens")
    options = parser.parse_args(arguments)
    for switch in ("1", "0"):
        env = {
            "LLAMA_SERVER_FLASH_ATTN": switch,
            "LLAMA_SERVER_PARALLEL": str(len(QUESTIONS)),
            "LLAMA_SERVER_N_CTX": "2048",
        }
        with (
            tempfile.TemporaryDirectory(prefix="llamaserve-company-") as folder,
            Engine(Path(folder), options.model.resolve(), env=env) as engine,
        ):
            engine.start()
            for length in map(int, options.prompts.split(",")):
                again, together = asyncio.run(_compare(engine, length))
                print(
                    f"flash attention {'on' if switch == '1' else 'off'}, prompts of {length} tokens: "
                    f"{again} of {len(QUESTIONS)} the same alone again, {together} in company",
                    flush=True,
                )
    return 0


async def _compare(engine: Engine, length: int) -> tuple[int, int]:
    """How many answers are the first ones when they are asked alone again, and all at once."""
    prompts = [_prompt(question, length) for question in QUESTIONS]
    first = [await _ask(engine, prompt) for prompt in prompts]
    again = [await _ask(engine, prompt) for prompt in prompts]
    together = await asyncio.gather(*(_ask(engine, prompt) for prompt in prompts))
    return _equal(first, again), _equal(first, together)


def _equal(some: list[str], others: list[str]) -> int:
    return sum(one == other for one, other in zip(some, others, strict=True))


def _prompt(question: str, length: int) -> str:
    items = range(max(0, length - 30) // ITEM_TOKENS)
    return " ".join([*(f"Item {item} is {item * 7 + len(question)}." for item in items), question])


async def _ask(engine: Engine, prompt: str) -> str:
    body = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "repeat_penalty": 1.0,
    }
    answer = await engine.post(CHAT, body, headers={"X-Llamaserve-User": f"user{next(USERS)}"})
    return str(answer.content)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
