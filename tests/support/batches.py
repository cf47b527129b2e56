"""Batches of numbered questions, and whether each line has got exactly one result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import openai
import psycopg
from openai.types import Batch

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


def line_of(custom_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A line that asks for a chat completion."""
    return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}


def questions(count: int, **fields: object) -> list[dict[str, Any]]:
    """Lines whose ids and questions are their numbers."""
    return [
        line_of(str(number), {"messages": [{"role": "user", "content": f"{number}"}], **fields})
        for number in range(count)
    ]


def submit(client: openai.OpenAI, lines: Iterable[dict[str, Any]]) -> Batch:
    """Upload the lines and make a batch of them."""
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h")


def results_of(client: openai.OpenAI, batch: Batch) -> list[dict[str, Any]]:
    """All results, those of lines that failed too."""
    texts = [
        client.files.content(file_id).text
        for file_id in (batch.output_file_id, batch.error_file_id)
        if file_id
    ]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def wrong_results(batch: Batch, results: list[dict[str, Any]], count: int) -> list[str]:
    """What is wrong with the results of `count` questions: each has one, and the counts say the same."""
    found = Counter(result["custom_id"] for result in results)
    wrong = [] if batch.status == "completed" else [f"the batch is {batch.status}"]
    wrong += [f"line {one} has {number} results" for one, number in found.items() if number != 1]
    missing = {str(number) for number in range(count)} - set(found)
    wrong += [f"line {one} has no result" for one in sorted(missing)]
    counts = batch.request_counts
    if counts is None or counts.completed + counts.failed != len(results):
        wrong.append(f"{len(results)} results, and the batch counts {counts}")
    return wrong


def attempts_of(database_url: str, batch_id: str) -> dict[int | None, int]:
    """How often lines were sent to the engine, by the status that came of it."""
    with psycopg.connect(database_url) as connection:
        query = "SELECT status_code, count(*) FROM llama_requests WHERE batch_id = %s GROUP BY 1"
        return dict(connection.execute(query, [batch_id]).fetchall())
