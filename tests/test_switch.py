"""`console.sh use` and `models`: the whole appliance, with real models, under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.runtime.commands.test_appliance import QUESTION, ask
from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.load import Restart, restart_under_load
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance on one.gguf, with two.gguf and one that only looks like a model beside it."""
    with Appliance(model=False, LLAMA_SERVER_N_THREADS="1", LLAMA_PROXY_RATE_LIMIT="1000") as appliance:
        folder = appliance.root / "models"
        for seed, name in enumerate(("one", "two")):
            build_model(folder / f"{name}.gguf", shape=SLOW, seed=seed)
        unknown_architecture(folder / "unknown.gguf")
        appliance.start("--model", "one.gguf")
        yield appliance


@pytest.fixture(scope="module")
def keys(appliance: Appliance) -> dict[str, str]:
    """Two users and their keys."""
    return {name: appliance.cli("create-user", "--username", name, "--quiet") for name in ("ann", "ben")}


def unknown_architecture(path: Path) -> None:
    """A whole GGUF file that the engine cannot load."""
    content = build_model(path).read_bytes()
    path.write_bytes(content.replace(b"llama", b"lxama"))


def served(appliance: Appliance) -> str:
    """The name of the model that answers."""
    answer = ask(f"{appliance.server_url}/v1/models", appliance.server_key)
    return str(answer["data"][0]["id"])


def switch_under_load(
    appliance: Appliance, keys: dict[str, str], name: str, *, status: int, model: str
) -> tuple[Restart, str]:
    """Run `use NAME` beside 16 requests at a time that name `model`; their results and its messages."""
    said = []

    def use() -> None:
        done = appliance.console("use", name)
        said.append(done.stderr)
        assert done.returncode == status, done.stderr

    return asyncio.run(restart_under_load(appliance, keys, each=8, model=model, restart=use)), said[0]


def test_a_switch_under_load_fails_no_request(appliance: Appliance, keys: dict[str, str]) -> None:
    """Requests that name the old model are answered by it before the switch, then by the new one."""
    seen, _ = switch_under_load(appliance, keys, "two.gguf", status=0, model="one.gguf")
    assert seen.lost() == []
    for name in ("one.gguf", "two.gguf"):
        assert any(name.encode() in one.body for one in seen.sent), name
    assert served(appliance) == "two.gguf"
    assert not (appliance.root / "runtime/data/model.before").exists()


def test_a_switch_that_fails_under_load_fails_no_request(
    appliance: Appliance, keys: dict[str, str]
) -> None:
    """The old model is served again, `use` ends with 1 and the engine's reason, and all are answered."""
    before = served(appliance)
    seen, said = switch_under_load(appliance, keys, "unknown.gguf", status=1, model=before)
    assert seen.lost() == []
    assert seen.answered_after() >= 8
    assert served(appliance) == before
    assert "unknown model architecture: 'lxama'" in said
    assert f"{before} is served again" in said
    appliance.until_well()


def test_a_name_of_the_model_before_is_unknown_to_a_later_start(
    appliance: Appliance, keys: dict[str, str]
) -> None:
    """The old name is good for requests that waited during the switch, not for ever."""
    other = "one.gguf" if served(appliance) == "two.gguf" else "two.gguf"
    old = appliance.kill("server")
    wait_until(lambda: appliance.pid("server") not in (0, old), "the server to come back")
    appliance.until_well()
    with pytest.raises(HTTPError, match="404"):
        ask(f"{appliance.proxy_url}/v1/chat/completions", keys["ann"], {**QUESTION, "model": other})


def test_a_server_that_has_just_died_can_be_stopped(appliance: Appliance) -> None:
    """A stop before supervisord starts it again keeps it stopped."""
    appliance.kill("server")
    appliance.supervision("stop", "server")
    assert appliance.pid("server") == 0
    appliance.supervision("start", "server")
    appliance.until_well()


def test_what_does_not_fit_is_refused_unless_forced(appliance: Appliance) -> None:
    """The refusal comes before anything is stopped; a missing file and the served one change nothing."""
    server, name = appliance.pid("server"), served(appliance)
    huge = appliance.root / "models/huge.gguf"
    with build_model(huge).open("r+b") as file:
        file.truncate(2**42)
    refused = appliance.console("use", "huge.gguf")
    assert refused.returncode == 1
    assert "huge.gguf needs about 4096." in refused.stderr
    assert "--force" in refused.stderr
    huge.unlink()
    assert appliance.console("use", "missing").returncode == 1
    assert "served already" in appliance.console("use", name).stderr
    assert appliance.pid("server") == server


def test_models_shows_which_is_in_use(appliance: Appliance) -> None:
    """Each entry has the header's facts and whether the model fits; a broken file has its reason."""
    (appliance.root / "models/broken.gguf").write_bytes(b"no model at all")
    entries = {one["name"]: one for one in json.loads(appliance.console("models", "--json").stdout)}
    name = served(appliance)
    assert [one for one in entries if entries[one]["state"] == "in use"] == [name]
    assert entries[name]["architecture"] == "llama"
    assert entries[name]["context_length"] == entries[name]["configured_context"] == 4096
    assert entries[name]["configured_slots"] == 8
    assert (entries[name]["has_chat_template"], entries[name]["fits"]) == (True, "yes")
    assert "is not a GGUF file" in entries["broken.gguf"]["problem"]
    broken = appliance.root / "models/broken.gguf"
    broken.rename(broken.with_name("bro\033[7m\nken.gguf"))
    shown = appliance.console("models").stdout
    assert "bro[7m?ken.gguf" in shown
    assert "\033" not in shown
    (row,) = [line for line in shown.splitlines() if line.startswith("*  ")]
    assert row.split()[1] == name
    assert row.endswith(" with 8 slots of 4096 tokens)")


def test_use_of_a_stopped_appliance_is_for_its_next_start(appliance: Appliance) -> None:
    """The choice is remembered, with a warning where LLAMA_SERVER_MODEL overrides it."""
    other = "one.gguf" if served(appliance) == "two.gguf" else "two.gguf"
    appliance.stop()
    done = appliance.console("use", other)
    assert done.returncode == 0, done.stderr
    assert Path(appliance.status()["model"]).name == other
    appliance.configure(LLAMA_SERVER_MODEL="two.gguf")
    assert "LLAMA_SERVER_MODEL is set" in appliance.console("use", "one").stderr
