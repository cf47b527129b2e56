"""Whether answers fit the schemas that they are held to: random schemas, a real engine, and jsonschema.

    ./console.sh bench schemas [--schemas 500] [--seed 1] [--model FILE]

Half of the schemas are strict and have only what can be enforced; the other half have patterns with
look-aheads, bounds that are too large, `uniqueItems` and the like, which are left out: the answers must
fit the rest. The model has random weights unless `--model` names a file. Answers that `max_tokens` cuts
off are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.support.engine import Engine
from tests.support.gguf import build_model
from tests.support.json_schemas import random_schema, violations

_ANSWERS = 4
"""To each schema."""


async def measure(engine: Engine, n_schemas: int, seed: int) -> Counter[str]:
    """Ask for answers to random schemas; prints each violation."""
    random = Random(seed)  # noqa: S311 - for repeating a run
    counts: Counter[str] = Counter()
    for number in range(n_schemas):
        strict = number % 2 == 0
        kind = "strict" if strict else "not strict"
        schema = random_schema(random, hard=not strict)
        form = {"name": "answer", "schema": schema, "strict": strict}
        answer = await engine.chat(
            messages=[{"role": "user", "content": "Answer"}],
            response_format={"type": "json_schema", "json_schema": form},
            max_tokens=400,
            temperature=1,
            n=_ANSWERS,
            seed=number,
        )
        if answer.status != 200:
            allows_none = "nsatisf" in answer.text or "no text satisfies it" in answer.text
            counts[f"{kind}: {'allows nothing' if allows_none else 'refused'}"] += 1
            if not allows_none:
                print(f"refused: {schema}\n  {answer.text}")
            continue
        for choice in answer.json["choices"]:
            if choice["finish_reason"] != "stop":
                counts[f"{kind}: cut off"] += 1
                continue
            counts[f"{kind}: answers"] += 1
            content = choice["message"]["content"]
            if found := violations(content, schema, strict=strict):
                counts[f"{kind}: violations"] += 1
                print(f"violation: {schema}\n  {content}\n  {found}")
    return counts


def main(arguments: list[str]) -> int:
    """Print the counts; 1 if there was a violation or a refusal."""
    parser = argparse.ArgumentParser(prog="bench schemas")
    parser.add_argument("--schemas", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        model = options.model or build_model(Path(directory) / "random.gguf")
        (Path(directory) / "engine").mkdir()
        with Engine(Path(directory) / "engine", model, env={"LLAMA_SERVER_N_CTX": "512"}) as engine:
            engine.start()
            counts = asyncio.run(measure(engine, options.schemas, options.seed))
    print(f"{options.schemas} schemas in {time.monotonic() - started:.0f} s")
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    return int(any("violations" in name or "refused" in name for name in counts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
