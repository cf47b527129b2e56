"""A table of prompts (CSV) as the lines of a batch."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .server import Failure

NUMBERS = ("max_tokens", "temperature", "top_p", "seed", "n")
COLUMNS = ("custom_id", "prompt", "system", "model", *NUMBERS)


def lines_of_csv(path: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The lines of a batch, one for each row. Raises Failure."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        if "prompt" not in names:
            raise Failure(f"{path}: there is no column 'prompt'; columns are {', '.join(COLUMNS)}")
        for name in names:
            if name not in COLUMNS:
                raise Failure(
                    f"{path}: the column {name!r} is unknown; columns are {', '.join(COLUMNS)}"
                )
        for number, row in enumerate(reader, start=1):
            given = {name: value for name, value in row.items() if value and name in COLUMNS}
            yield {
                "custom_id": given.pop("custom_id", str(number)),
                "method": "POST",
                "url": arguments.endpoint,
                "body": _body(given, arguments, f"{path}, row {number}"),
            }


def _body(given: dict[str, Any], arguments: argparse.Namespace, where: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: value
        for name in ("model", "max_tokens")
        if (value := getattr(arguments, name)) is not None
    }
    prompt, system = given.pop("prompt", ""), given.pop("system", arguments.system)
    for name in NUMBERS:
        if name in given:
            try:
                given[name] = json.loads(given[name])
            except ValueError:
                raise Failure(f"{where}: {name} is no number: {given[name]!r}") from None
    if arguments.endpoint == "/v1/chat/completions":
        body["messages"] = [{"role": "system", "content": system}] if system else []
        body["messages"].append({"role": "user", "content": prompt})
    else:
        body["prompt" if arguments.endpoint == "/v1/completions" else "input"] = prompt
    return {**body, **given}
