"""OpenAI's codex, which uses the Responses API."""

from __future__ import annotations

from report import ANSWER, KEY, MODEL, URL, capability
from support import MADE, new_folder, run

CONFIGURATION = """\
model = "{model}"
model_provider = "llamaserve"
model_context_window = 16384

[model_providers.llamaserve]
name = "llamaserve"
base_url = "{url}/v1"
env_key = "LLAMASERVE_KEY"
wire_api = "responses"
"""


def main() -> None:
    """Have it run a command and answer."""
    folder = new_folder()
    settings = folder / "home" / ".codex"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text(CONFIGURATION.format(model=MODEL, url=URL))
    with capability("tools"):
        sandbox = "--dangerously-bypass-approvals-and-sandbox"
        said = run(
            *("codex", "exec", sandbox, "--skip-git-repo-check", "-c", 'web_search="disabled"'),
            "Make a file.",
            folder=folder,
            env={"LLAMASERVE_KEY": KEY},
        )
        assert ANSWER in said
        assert (folder / MADE).exists()


main()
