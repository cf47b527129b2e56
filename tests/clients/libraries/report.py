"""What the scripts of all clients have in common. Imports the standard library only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

URL = os.environ["LLAMASERVE_URL"]
"""Of the proxy, without a path."""
KEY = os.environ["LLAMASERVE_KEY"]
MODEL = os.environ["LLAMASERVE_MODEL"]
QUESTION = "What is the weather in Paris?"
ANSWER = "All went well."
"""What the model says, after a tool's result too."""
ANSWERED = ANSWER.split(maxsplit=1)[0]
CITY = "Paris"
"""The argument with which the model calls `get_weather`."""


@contextmanager
def capability(name: str) -> Iterator[None]:
    """Print a line of JSON that says whether the block worked."""
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        print(json.dumps({"capability": name, "ok": False, "detail": text[:2000]}), flush=True)
    else:
        print(json.dumps({"capability": name, "ok": True}), flush=True)
