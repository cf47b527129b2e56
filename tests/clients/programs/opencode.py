"""opencode with an OpenAI-compatible provider."""

from __future__ import annotations

import json

from report import ANSWER, KEY, MODEL, URL, capability
from support import MADE, new_folder, run


def main() -> None:
    """Have it run a command and answer."""
    folder = new_folder()
    configuration = {
        "provider": {
            "llamaserve": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{URL}/v1", "apiKey": KEY},
                "models": {MODEL: {"limit": {"context": 16384, "output": 1024}}},
            }
        },
        "permission": "allow",
        "autoupdate": False,
    }
    (folder / "opencode.json").write_text(json.dumps(configuration))
    with capability("tools"):
        said = run("opencode", "run", "-m", f"llamaserve/{MODEL}", "Make a file.", folder=folder)
        assert ANSWER in said
        assert (folder / MADE).exists()


main()
