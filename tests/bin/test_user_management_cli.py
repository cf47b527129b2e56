"""Every command of the user command line, on a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote

import pytest

from proxy.admin import client_settings
from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import keys
from runtime.config import load
from tests.bin.conftest import MINUTE, ROOT, Cli, create, sealed_environment, shape


def public_id(key: str) -> str:
    found = keys.public_id_of(key)
    assert found
    return found


def test_init_db_makes_the_schema_and_can_be_repeated(directory: Path, empty_database_url: str) -> None:
    """The second run finds it up to date; before the first every command says to run it."""
    cli = Cli(directory, sealed_environment(LLAMA_SERVER_DATABASE_URL=empty_database_url))
    missing = "error: the database's schema is missing: run ./bin/user_management_cli.sh init-db\n"
    assert cli.error("list-users") == missing
    names = [name for _, name, _ in schema.known_migrations()]
    assert cli("init-db") == f"The schema is up to date. Applied: {', '.join(names)}.\n"
    assert cli("init-db") == "The schema is up to date.\n"
    assert cli.json("init-db") == {"applied": []}
    assert cli("list-users") == "There are no users yet: create-user --username NAME makes one.\n"


def test_create_user_shows_the_key_once_and_how_to_use_it(cli: Cli, database_url: str) -> None:
    """With the URL of the configured proxy, and the variables that clients read; afterwards the key is
    nowhere, its hash verifies it."""
    cli.environment |= {"LLAMA_PROXY_PORT": "8765"}
    text = cli("create-user", "--username", "alice")
    assert (
        shape(text)
        == """\
Created the user alice: 60 requests in 60 s (default).
The new key expires: never.
This is the key. It is shown this once and stored nowhere:

  KEY

Try it:

  curl http://127.0.0.1:8765/v1/chat/completions \\
    -H "Authorization: Bearer KEY" \\
    -H "Content-Type: application/json" \\
    -d '{"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 64}'

OpenAI's and Anthropic's clients read:

  export OPENAI_BASE_URL=http://127.0.0.1:8765/v1 OPENAI_API_KEY=KEY
  export ANTHROPIC_BASE_URL=http://127.0.0.1:8765 ANTHROPIC_API_KEY=KEY
"""
    )
    (key,) = set(re.findall(r"lsk_\w{50}", text))
    with connect(database_url, application="tests") as connection:
        (row,) = connection.execute("SELECT k::text, k.hash FROM llama_api_keys k").fetchall()
    assert keys.verify_key(key, row[1])
    assert key not in row[0]
    assert key not in cli("show-user", "--username", "alice", "--json")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", r"http://\d+\.\d+\.\d+\.\d+:8765"),  # noqa: S104
        ("::", r"http://\[[0-9a-f:]+\]:8765"),
        ("llm.example.org", r"http://llm\.example\.org:8765"),
    ],
)
def test_a_new_key_comes_with_an_address_for_others(directory: Path, host: str, expected: str) -> None:
    """A proxy that listens on all addresses is named by the one that other machines reach."""
    config = load(directory, {"LLAMA_PROXY_HOST": host, "LLAMA_PROXY_PORT": "8765"})
    url = client_settings.url_for_others(config)
    assert re.fullmatch(expected, url)
    assert f"  export OPENAI_BASE_URL={quote(url + '/v1')} OPENAI_API_KEY=k" in client_settings.lines(
        config, "k"
    )


def test_with_quiet_the_key_is_alone_on_stdout(cli: Cli) -> None:
    """KEY="$(… create-user --username alice --quiet)" works, rotate-key's too."""
    for command in ("create-user", "rotate-key"):
        text = cli(command, "--username", "alice", "--quiet")
        assert text.endswith("\n")
        assert keys.public_id_of(text[:-1])


def test_create_user_answers_scripts_in_json(cli: Cli) -> None:
    """Key, public id, expiry, and the URL to use it with."""
    made = cli.json("create-user", "--username", "alice", "--expires", "2040-01-31T01:00+01:00")
    key = made.pop("key")
    assert made == {
        "username": "alice",
        "public_id": public_id(key),
        "expires_at": "2040-01-31T00:00:00+00:00",
        "base_url": "http://127.0.0.1:8001/v1",
        "replaced": [],
    }


def test_a_switched_off_proxy_is_told(cli: Cli) -> None:
    """The key is made all the same."""
    cli.environment["LLAMA_PROXY_ENABLED"] = "0"
    text = cli("create-user", "--username", "alice")
    assert "The proxy is off (LLAMA_PROXY_ENABLED=0): keys work once it is on.\n" in text


def test_list_users_is_a_table(cli: Cli) -> None:
    """Own limits and the default, a billion too; only active keys are counted."""
    create(cli, "bob")
    create(cli, "alice", "--rate-limit", "1000000000", "--rate-window-seconds", "0.5")
    cli("rotate-key", "--username", "bob")
    cli("deactivate-user", "--username", "bob")
    assert (
        cli("list-users")
        == """\
USERNAME  ACTIVE  RATE LIMIT                     WEIGHT  AT A TIME  KEYS  LAST USED
alice     yes     1000000000 requests in 0.5 s   1       any           1  never
bob       no      60 requests in 60 s (default)  1       any           1  never
"""
    )
    alice, bob = cli.json("list-users")
    assert (alice["username"], alice["rate_limit"], alice["rate_window_seconds"]) == (
        "alice",
        10**9,
        0.5,
    )
    assert (bob["is_active"], bob["rate_limit"], len(bob["keys"])) == (False, None, 2)


def test_show_user_shows_the_beginnings_of_keys(cli: Cli) -> None:
    """Enough to know them by; JSON has the same, and no hash."""
    first = create(cli, "alice", "--expires", "2040-01-31")
    second = cli("rotate-key", "--username", "alice", "--quiet").strip()
    text = cli("show-user", "--username", "alice").replace("2040-01-31 00:00 UTC", "END".ljust(20))
    assert (
        re.sub(MINUTE, "TIME".ljust(20), text)
        == f"""\
Username    alice
Active      yes
Admin       no
Rate limit  60 requests in 60 s (default)
Weight      1
At a time   as many as the engine takes
Budget      any number of tokens
Group       none
Invitation  none
Created     TIME                \n
KEY               STATE    CREATED               EXPIRES               LAST USED
{first[:16]}  revoked  TIME                  END                   never
{second[:16]}  active   TIME                  END                   never
"""
    )
    user = cli.json("show-user", "--username", "alice")
    assert user.keys() == {
        "username", "is_active", "is_admin", "rate_limit", "rate_window_seconds", "token_limit",
        "weight", "max_concurrent", "token_budget", "budget_period", "batch_limit", "group",
        "created_at", "keys",
    }  # fmt: skip
    assert [key["public_id"] for key in user["keys"]] == [public_id(first), public_id(second)]
    assert "pbkdf2" not in str(user)


def test_rotate_key_revokes_by_default(cli: Cli) -> None:
    """And says what became of each key."""
    old = create(cli, "alice")
    text = cli("rotate-key", "--username", "alice")
    assert text.startswith(
        f"Made a new key for alice.\nThe old key {old[:16]} is revoked.\nThe new key expires: never.\n"
    )
    made = cli.json("rotate-key", "--username", "alice", "--expires", "30d")
    assert [key["state"] for key in made["replaced"]] == ["revoked"]
    month = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert abs(month - timedelta(days=30)) < timedelta(minutes=2)


def test_rotate_key_with_a_grace_keeps_the_old_key_for_so_long(cli: Cli) -> None:
    """Its end is told."""
    create(cli, "alice")
    text = cli("rotate-key", "--username", "alice", "--grace", "1h")
    assert shape(text).splitlines()[1] == "The old key lsk_ID works until TIME."
    old, _ = cli.json("show-user", "--username", "alice")["keys"]
    left = datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(minutes=60)


@pytest.mark.parametrize(
    "form",
    [
        lambda key: str(keys.public_id_of(key)),
        lambda key: str(key[:16]),
        str,
    ],
    ids=["public id", "as shown", "whole key"],
)
def test_a_key_can_be_named_in_each_form_that_one_may_have(cli: Cli, form: object) -> None:
    """For revoke-key and for rotate-key --key."""
    assert callable(form)
    first = create(cli, "alice")
    second = cli("rotate-key", "--username", "alice", "--quiet", "--grace", "1h").strip()
    cli("rotate-key", "--username", "alice", "--key", form(first))
    text = cli("revoke-key", "--username", "alice", "--key", form(second))
    assert text == f"alice can no longer use the key {second[:16]}.\n"
    states = [key["state"] for key in cli.json("show-user", "--username", "alice")["keys"]]
    assert states == ["revoked", "revoked", "active"]


def test_deactivate_and_activate(cli: Cli) -> None:
    """Back and forth, and a hint where a deactivated user gets a key."""
    create(cli, "alice")
    output = cli("deactivate-user", "--username", "alice")
    assert output == "alice is deactivated: no key of theirs works.\n"
    hint = "alice is deactivated: the key works after activate-user.\n"
    assert hint in cli("rotate-key", "--username", "alice")
    assert cli("activate-user", "--username", "alice") == "alice is active.\n"
    assert cli.json("show-user", "--username", "alice")["is_active"] is True
    assert cli.json("deactivate-user", "--username", "alice")["is_active"] is False


def test_set_limits(cli: Cli) -> None:
    """One or both, and back to the default."""
    create(cli, "alice")
    limits = ("set-limits", "--username", "alice")
    assert cli(*limits, "--rate-limit", "5") == "alice may send 5 requests in 60 s.\n"
    window = ("--rate-window-seconds", "31536000")
    assert cli(*limits, *window) == "alice may send 5 requests in 31536000 s.\n"
    back = cli(*limits, "--rate-limit", "default", "--rate-window-seconds", "default")
    assert back == "alice may send 60 requests in 60 s (default).\n"
    assert cli.json(*limits, "--rate-limit", "1000000000")["rate_limit"] == 10**9


def test_limits_of_tokens_turns_and_requests_at_a_time(cli: Cli) -> None:
    """Set at the making or later, shown, and taken back."""
    create(cli, "alice", "--token-limit", "5000", "--weight", "2.5", "--max-concurrent", "2")
    text = cli("show-user", "--username", "alice")
    assert "Rate limit  60 requests and 5000 tokens in 60 s\nWeight      2.5\nAt a time   2\n" in text
    assert "and 5000 tokens in 60 s  2.5" in cli("list-users")
    limits = ("set-limits", "--username", "alice")
    changed = cli(*limits, "--weight", "0.5")
    assert changed == "alice may send 60 requests and 5000 tokens in 60 s; weight 0.5; 2 at a time.\n"
    default = ("--token-limit", "default", "--weight", "default", "--max-concurrent", "default")
    assert cli(*limits, *default) == "alice may send 60 requests in 60 s (default).\n"
    user = cli.json("show-user", "--username", "alice")
    assert (user["token_limit"], user["weight"], user["max_concurrent"]) == (None, 1, None)
    cli.environment["LLAMA_PROXY_TOKEN_LIMIT"] = "77"
    assert "60 requests and 77 tokens in 60 s (default)" in cli("list-users")


def test_delete_user_with_yes(cli: Cli) -> None:
    """Does not ask."""
    create(cli, "alice")
    output = cli("delete-user", "--username", "alice", "--yes")
    assert output == "alice is deleted. The records of their requests stay.\n"
    assert cli.json("list-users") == []


def test_delete_user_asks_on_a_terminal(cli: Cli) -> None:
    """Anything but y or yes leaves the user."""
    create(cli, "alice")
    for answer, code in ((b"\n", 1), (b"no\n", 1), (b"\x04", 1), (b"y\n", 0)):
        master, slave = os.openpty()
        os.write(master, answer)
        done = cli.run("delete-user", "--username", "alice", stdin=slave)
        os.close(slave)
        os.close(master)
        question = "Delete alice and all keys? Records stay. [y/N] "
        assert (done.returncode, done.stderr.startswith(question)) == (code, True), done
        assert ("not confirmed, nothing was deleted" in done.stderr) == bool(code)
        assert len(cli.json("list-users")) == code


def test_delete_user_does_not_guess_without_a_terminal(cli: Cli) -> None:
    """A script that means it says --yes."""
    create(cli, "alice")
    error = cli.error("delete-user", "--username", "alice", code=2)
    assert error.endswith("error: there is no terminal to ask on: give --yes\n")
    assert len(cli.json("list-users")) == 1


def test_output_into_a_closed_pipe_is_no_trace(cli: Cli) -> None:
    """`… | head -0`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*cli.command, "list-users"],
        env=cli.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_shell_entry_finds_the_appliance_s_python(cli: Cli) -> None:
    """And passes arguments on as they are."""
    cli.environment["LLAMA_VENV_DIR"] = sys.prefix
    cli.command = (ROOT / "bin" / "user_management_cli.sh",)
    assert "'a  b'" in cli.error("create-user", "--username", "a  b")
    create(cli, "alice")
    assert len(cli.json("list-users")) == 1


def test_it_needs_nothing_of_the_proxy_s_own(cli: Cli) -> None:
    """It runs where aiohttp, uvloop and psycopg_pool are not installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['aiohttp', 'uvloop', 'psycopg_pool', 'orjson']));"
        "from proxy.admin.cli import main; sys.exit(main(['list-users', '--json']))"
    )
    cli.command = (sys.executable, "-c", code)
    cli.environment["PYTHONPATH"] = str(ROOT)
    assert cli() == "[]\n"


def test_a_python_without_the_packages_is_told(directory: Path) -> None:
    """Instead of a trace: the command that makes an environment."""
    done = Cli(
        directory,
        sealed_environment(),
        (sys.executable, "-S", "-I", ROOT / "bin/user_management_cli.py"),
    )
    assert "run ./bin/bootstrap_user_cli.sh once" in done.error("list-users")
