"""Simon Willison's llm, with a model of extra-openai-models.yaml."""

from __future__ import annotations

import json

from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability
from support import new_folder, run

TOOL = '''
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return "21 degrees in " + city
'''


def main() -> None:
    """Try a prompt, a schema and a tool."""
    folder = new_folder()
    model = {
        "model_id": "served",
        "model_name": MODEL,
        "api_base": f"{URL}/v1",
        "api_key_name": "llamaserve",  # without it llm sends a key of its own making
        "supports_tools": True,
        "supports_schema": True,
    }
    settings = folder / "settings"
    settings.mkdir()
    (settings / "extra-openai-models.yaml").write_text(json.dumps([model]))
    env = {"LLM_USER_PATH": str(settings)}
    prompt = ("llm", "-m", "served", "--key", KEY)
    with capability("stream"):
        assert ANSWER in run(*prompt, QUESTION, folder=folder, env=env)
    with capability("structured"):
        said = run(*prompt, "--schema", "city str", QUESTION, folder=folder, env=env)
        assert "city" in json.loads(said)
    with capability("tools"):
        said = run(*prompt, "--functions", TOOL, "--td", QUESTION, folder=folder, env=env)
        assert ANSWER in said
        assert CITY in said


main()
