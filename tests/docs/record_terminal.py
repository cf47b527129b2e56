"""Make docs/terminal.svg from a real session: a first start, create-user, curl, chat, usage.

    python -m tests.docs.record_terminal [FILE]

Runs a copy of the checkout on the default ports, which must be free, without an environment and with
an empty cache: all is installed, compiled and fetched, which takes minutes and a network. Types the
commands below into a real shell. Nothing is drawn that the terminal did not show; only long pauses are
shortened.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runtime.config import KEYS, ROOT
from tests.docs.shell_session import PROMPT, ShellSession
from tests.docs.terminal_svg import draw, lines_of, shorten_pauses
from tests.support.appliance import Appliance

PICTURE = ROOT / "docs" / "terminal.svg"
COLUMNS = 100
CAPTION = "Llamaserve: from a fresh clone to a user's first answer (pauses shortened)"
ENTER, END_OF_INPUT = "\n", "\x04"

START = "./console.sh start"
OFFER = "Download SmolLM2-135M-Instruct meanwhile (89 MB, Apache-2.0)? [Y/n] "
"""The end of the question of a first start."""
FIRST_START_S = 1800.0
CREATE_USER = "KEY=$(./bin/user_management_cli.sh create-user --username alice --quiet)"
CURL = (
    'curl -s http://127.0.0.1:8001/v1/chat/completions -H "Authorization: Bearer $KEY" \\',
    '  -H "Content-Type: application/json" \\',
    '  -d \'{"messages": [{"role": "user", "content": "Say hello."}]}\'; echo',
)
CHAT = "./console.sh chat"
QUESTIONS = ("What is the capital of France?", "Write one sentence about the sea.")
USAGE = "./bin/user_management_cli.sh usage"


def play(session: ShellSession) -> None:
    """Type the whole session."""
    session.type_text(START)
    session.press(ENTER, then=OFFER, timeout_s=FIRST_START_S)
    session.type_text("y")
    session.press(ENTER, timeout_s=FIRST_START_S)
    session.type_text(CREATE_USER)
    session.press(ENTER)
    for line in CURL:
        session.type_text(line)
        session.press(ENTER, then=PROMPT if line is CURL[-1] else "> ")
    session.type_text(CHAT)
    session.press(ENTER, then="> ")
    for question in QUESTIONS:
        session.type_text(question)
        session.press(ENTER, then="> ")
    session.press(END_OF_INPUT)
    session.type_text(USAGE)
    session.press(ENTER)


def _fresh(appliance: Appliance) -> dict[str, str]:
    """The environment of a machine on which nothing has been installed."""
    environment = appliance.environment | {"XDG_CACHE_HOME": str(appliance.base / "cache")}
    for name in ("LLAMA_VENV_DIR", "VIRTUAL_ENV", "CMAKE_ARGS", "PYTHONPATH"):
        environment.pop(name, None)
    return environment


def main(arguments: list[str]) -> int:
    """Record, draw, write."""
    picture = Path(arguments[0]) if arguments else PICTURE
    defaults = (
        "LLAMA_SERVER_PORT",
        "LLAMA_PROXY_PORT",
        "LLAMA_DASHBOARD_PORT",
        "LLAMA_DASHBOARD_ENABLED",
    )
    settings = {name: KEYS[name].default for name in defaults}
    with (
        Appliance(model=False, folder="llamaserve", **settings) as appliance,
        ShellSession(appliance.root, env=_fresh(appliance), columns=COLUMNS) as session,
    ):
        play(session)
    lines = lines_of(shorten_pauses(session.pieces), columns=COLUMNS)
    while lines and "".join(span.text for span in lines[-1]).strip() in ("", PROMPT.strip()):
        lines.pop()
    picture.write_text(draw(lines, columns=COLUMNS, caption=CAPTION))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
