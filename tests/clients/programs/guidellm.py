"""guidellm: a benchmark of streamed chats."""

from __future__ import annotations

import json

from report import KEY, MODEL, QUESTION, URL, capability
from support import new_folder, run


def main() -> None:
    """Measure a few requests with prompts of a file."""
    folder = new_folder()
    (folder / "prompts.jsonl").write_text((json.dumps({"prompt": QUESTION}) + "\n") * 3)
    backend = {"kind": "openai_http", "target": URL, "model": MODEL, "api_key": KEY}
    data = {"kind": "json_file", "path": str(folder / "prompts.jsonl")}
    with capability("stream"):
        run(
            *("guidellm", "run", "--backend", json.dumps(backend), "--data", json.dumps(data)),
            *("--profile", "kind=synchronous", "--constraint", "kind=max_requests,count=3"),
            *("--output", "kind=json,path=result.json", "--disable-console-interactive"),
            folder=folder,
            env={"HF_HUB_OFFLINE": "1"},
        )
        (benchmark,) = json.loads((folder / "result.json").read_text())["benchmarks"]
        assert len(benchmark["requests"]["successful"]) == 3


main()
