"""The model that a first start offers and fetches while the engine is compiled."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from models.starter.evaluate import MODEL as STARTER
from runtime.config import KEYS
from tests.support.appliance import Appliance, copy_tree
from tests.support.wait import wait_until

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
Step = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree without a model of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_tree(folder)
    return folder


@pytest.fixture
def step(checkout: Path) -> Iterator[Step]:
    """Runs a line of shell with the functions of `start`, on a terminal on which `answer` is typed, or
    on none; returns what it prints and what the user sees."""

    def run(line: str, *, answer: str | None = None) -> tuple[str, str]:
        prelude = '. "$1/runtime/supervisor/begin.sh"; init_supervision; make_dirs; read_config'
        user, terminal = pty.openpty()
        try:
            if answer is not None:
                os.write(user, answer.encode())
            on_terminal = {"stdin": terminal, "stderr": terminal}
            without = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"{prelude}; {line}", "-", checkout],
                env={name: value for name, value in os.environ.items() if name not in KEYS}
                | {"LLAMA_VENV_DIR": sys.prefix},
                stdout=subprocess.PIPE,
                check=False,
                timeout=30,
                **(without if answer is None else on_terminal),  # type: ignore[call-overload]
            )
        finally:
            os.close(terminal)
        seen = b""
        with suppress(OSError):  # the end, since nobody has the terminal open any more
            while piece := os.read(user, 65536):
                seen += piece
        os.close(user)
        return done.stdout.decode(), "" if answer is None else seen.decode()

    yield run
    for model in (checkout / "models").glob("*.gguf"):
        model.unlink()


@pytest.mark.parametrize(
    ("answer", "fetched"), [("\n", "smollm2"), ("y\n", "smollm2"), ("n\n", ""), ("\x04", "")]
)
def test_a_first_start_on_a_terminal_offers_a_model(step: Step, answer: str, fetched: str) -> None:
    """With its name, size and licence. Return means yes; the end of the input means no."""
    printed, seen = step("offer_model ''", answer=answer)
    assert printed == fetched
    assert "SmolLM2-135M-Instruct" in seen
    assert "89 MB, Apache-2.0" in seen


def test_nothing_is_offered_to_a_script_or_with_a_model(step: Step, checkout: Path) -> None:
    """Without a terminal, with a model that is named, and if there is one in models/."""
    assert step("offer_model ''") == ("", "")
    assert step("offer_model other.gguf", answer="y\n")[0] == ""
    shutil.copy(STARTER, checkout / "models/own.gguf")
    printed, seen = step("offer_model ''", answer="y\n")
    assert printed == ""
    assert "SmolLM2" not in seen


def test_smollm2_is_a_name_for_its_file(step: Step, checkout: Path) -> None:
    """`--model smollm2` serves the file if it is there, unless a model of the user's has that name."""
    line = "if is_packaged smollm2; then fetch_packaged; fi"
    shutil.copy(STARTER, checkout / "models" / SMOLLM2)
    assert step(line)[0] == SMOLLM2
    shutil.move(checkout / "models" / SMOLLM2, checkout / "models/smollm2.gguf")
    assert step(line)[0] == ""


INSTALLATION = """#!/usr/bin/env bash
# All but the engine is there; that is compiled when the file beside this one exists.
folder="$(dirname -- "$0")"
compiled() { [ -e "$folder/compiled" ]; }
case "$*" in
  --check) compiled ;;
  '') until compiled; do sleep 0.1; done && exec bash "$folder/installation.sh" ;;
  *) exec bash "$folder/installation.sh" "$@" ;;
esac
"""


def test_users_are_created_while_the_engine_is_compiled() -> None:
    """An interruption ends what has been begun; the next start goes on with the same database, and the
    key works."""
    keys: list[str] = []

    def is_created() -> bool:
        with suppress(AssertionError):  # there is no database yet
            keys.append(appliance.cli("create-user", "--username", "early", "--quiet"))
        return bool(keys)

    with Appliance() as appliance:
        installation = appliance.root / "runtime/install.sh"
        installation.rename(installation.with_name("installation.sh"))
        installation.write_text(INSTALLATION)
        installation.chmod(0o755)
        starting = appliance.popen("start")
        wait_until(is_created, "a user to be created", deadline_s=60)
        assert starting.poll() is None
        starting.send_signal(signal.SIGINT)
        assert "users can be created already" in starting.communicate(timeout=60)[1]
        assert starting.returncode == 130
        assert appliance.leftovers() == []

        starting = appliance.popen("start")
        wait_until(lambda: bool(appliance.pid("postgres")), "the database to be there again")
        (installation.parent / "compiled").touch()
        _, errors = starting.communicate(timeout=120)
        assert starting.returncode == 0, errors
        request = Request(
            f"{appliance.proxy_url}/v1/models", headers={"Authorization": f"Bearer {keys[0]}"}
        )
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200
