"""guidellm: a benchmark of streamed chats."""

from __future__ import annotations

import json

from report import KEY, MODEL, QUESTION, URL, capability
from support import new_folder, run


def main() -> None:
    """Measure a few requests with prompts of a file."""
    folder = new_folder()
    (folder / "prompts.jsonl").write_text(json.dumps({"prompt": QUESTION}) + "\n")
    backend = json.dumps({"api_key": KEY})
    with capability("stream"):
        said = run(
            *("guidellm", "benchmark", "run", "--target", URL, "--model", MODEL),
            *("--data", str(folder / "prompts.jsonl"), "--profile", "synchronous"),
            *("--max-requests", "3", "--backend-kwargs", backend, "--outputs", "json"),
            folder=folder,
            env={"HF_HUB_OFFLINE": "1"},
        )
        assert "synchronous" in said


main()
