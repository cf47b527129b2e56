"""Claude Code, which uses the Messages API."""

from __future__ import annotations

from report import ANSWER, KEY, MODEL, URL, capability
from support import MADE, new_folder, run


def main() -> None:
    """Have it run a command and answer."""
    folder = new_folder()
    env = {
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_SMALL_FAST_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    with capability("tools"):
        said = run(
            "claude", "-p", "--allowedTools", "Bash", "--", "Make a file.", folder=folder, env=env
        )
        assert ANSWER in said
        assert (folder / MADE).exists()


main()
