"""Checks a batch's whole input file before anything of it runs, and finds its lines."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import orjson

from proxy.batches import errors
from proxy.batches.errors import Problem

MAX_PROBLEMS = 20
"""So many are told."""
MAX_CUSTOM_ID = 256


class Item(NamedTuple):
    """A line: its number from 1, and where its bytes are in the file."""

    line: int
    custom_id: str
    place: int
    length: int


def check_file(
    path: Path, *, endpoint: str, max_lines: int, max_line_bytes: int
) -> tuple[list[Item], list[Problem]]:
    """The lines of a file, and what is wrong with it. Blocks for seconds with a large one.

    Raises:
        OSError: it cannot be read.
    """
    items: list[Item] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    with path.open("rb") as file:
        number = place = 0
        while len(problems) < MAX_PROBLEMS and (content := file.readline(max_line_bytes + 1)):
            number += 1
            if len(content) > max_line_bytes:
                problems.append(errors.line_too_long(number, max_line_bytes))
                break
            if content.strip():
                if len(items) == max_lines:
                    problems.append(errors.too_many_lines(max_lines))
                    break
                custom_id = _check_line(content, number, endpoint, seen, problems)
                items.append(Item(number, custom_id, place, len(content)))
            place += len(content)
    if not items and not problems:
        problems.append(errors.no_lines())
    return items, problems


def _check_line(
    content: bytes, number: int, endpoint: str, seen: dict[str, int], problems: list[Problem]
) -> str:
    """The custom_id of a line; what is wrong with the line is added to `problems`."""
    try:
        fields = orjson.loads(content)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        problems.append(errors.not_json(number))
        return ""
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_CUSTOM_ID or "\0" in custom_id:
        text = f"must be a text of 1 to {MAX_CUSTOM_ID} characters"
        problems.append(errors.bad_line(number, "custom_id", text))
        return ""
    if custom_id in seen:
        problems.append(errors.duplicate(number, custom_id, seen[custom_id]))
    seen[custom_id] = number
    if fields.get("method") != "POST":
        problems.append(errors.bad_line(number, "method", "must be POST"))
    if fields.get("url") != endpoint:
        problems.append(errors.bad_line(number, "url", f"must be {endpoint}, the batch's endpoint"))
    body = fields.get("body")
    if not isinstance(body, dict):
        problems.append(errors.bad_line(number, "body", "must be an object: the request's body"))
    elif body.get("stream"):
        problems.append(errors.bad_line(number, "body.stream", "must be false or absent in a batch"))
    return custom_id
