"""`backup`, `restore` and `uninstall` with real appliances and their databases."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import openai
import pytest

from runtime.upkeep.archive import FIRST_LINE, pack, unpack
from tests.support.appliance import Appliance
from tests.support.local_user import mode


@pytest.fixture(scope="module")
def first() -> Iterator[Appliance]:
    """A running appliance with users."""
    with Appliance() as appliance:
        appliance.start()
        yield appliance


@pytest.fixture(scope="module")
def key(first: Appliance) -> str:
    """The key of a user with a limit."""
    key = first.cli("create-user", "--username", "alice", "--quiet")
    first.cli("set-limits", "--username", "alice", "--rate-limit", "777")
    return key


@pytest.fixture(scope="module")
def saved(first: Appliance, key: str) -> Path:
    """A backup that has been made with the command. The user has a file, and one without a content."""
    with openai.OpenAI(base_url=first.proxy_url + "/v1", api_key=key) as client:
        for content in (b"kept", b"gone"):
            made = client.files.create(file=("lines.jsonl", content), purpose="batch")
    (first.root / "runtime/data/files" / made.id).unlink()
    file = first.base / "saved.tar.gz"
    done = first.console("backup", str(file))
    assert done.returncode == 0, done.stderr
    assert "It holds secrets" in done.stderr
    assert key not in gzip.decompress(file.read_bytes()).decode(errors="replace")
    return file


@pytest.fixture(scope="module")
def second(first: Appliance, saved: Path) -> Iterator[Appliance]:
    """Another checkout, into which the backup was restored. It has the ports of the first, which is
    stopped; it does not run itself yet."""
    first.stop()
    with Appliance() as appliance:
        done = appliance.console("restore", str(saved))
        assert done.returncode == 0, done.stderr
        assert f"restored from {saved}" in done.stderr
        appliance.configuration = dict(first.configuration)
        yield appliance


def models_status(appliance: Appliance, key: str) -> int:
    request = Request(f"{appliance.proxy_url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    with urlopen(request, timeout=10) as answer:
        return int(answer.status)


def test_a_backup_is_not_overwritten(first: Appliance, saved: Path) -> None:
    """A second one needs another name."""
    before = saved.read_bytes()
    done = first.console("backup", str(saved))
    assert done.returncode == 1
    assert "exists" in done.stderr
    assert saved.read_bytes() == before


def test_a_backup_of_a_newer_version_is_refused(second: Appliance, saved: Path, tmp_path: Path) -> None:
    """With the reason. Nothing is changed, neither the database nor the configuration."""
    unpack(saved, tmp_path)
    with (tmp_path / "database.sql").open("a") as dump:
        dump.write("\nINSERT INTO public.llama_schema (version, name) VALUES (9999, 'future');\n")
    (tmp_path / "config.env").write_text("LLAMA_SERVER_API_KEY=another\n")
    newer = second.base / "newer.tar.gz"
    pack(newer, tmp_path)
    key, env = second.server_key, (second.root / ".env").read_text()
    done = second.console("restore", str(newer), "--yes")
    assert done.returncode == 1
    assert "newer version of Llamaserve" in done.stderr
    assert "nothing was changed" in done.stderr
    assert second.server_key == key
    assert (second.root / ".env").read_text() == env


def test_a_database_that_would_not_be_used_is_not_passed_over(second: Appliance, saved: Path) -> None:
    """Where the environment names another one. Nothing is changed: a .env that was not there is not
    there afterwards either."""
    key, env = second.server_key, second.root / ".env"
    aside = env.rename(second.base / "aside.env")
    url = "postgresql://u:p@127.0.0.1:1/d"
    done = run(second, "restore", str(saved), "--yes", LLAMA_SERVER_DATABASE_URL=url)
    assert done.returncode == 1
    assert "database would not be used here; nothing was changed" in done.stderr
    assert "LLAMA_SERVER_DATABASE_URL" in done.stderr
    assert second.server_key == key
    assert not env.exists()
    aside.rename(env)


def test_the_configuration_is_the_backup_s_alone(second: Appliance, tmp_path: Path) -> None:
    """A .env that the backup does not have would take precedence over its config.env."""
    config, env = second.root / "runtime/config.env", second.root / ".env"
    before = config.read_text(), env.read_text()
    (tmp_path / "about.txt").write_text(f"{FIRST_LINE}\n")
    (tmp_path / "config.env").write_text(f"{before[0]}LLAMA_PROXY_ENABLED=0\n")
    pack(second.base / "configuration.tar.gz", tmp_path)
    done = second.console("restore", str(second.base / "configuration.tar.gz"), "--yes")
    assert done.returncode == 0, done.stderr
    assert not env.exists()
    assert config.read_text().endswith("LLAMA_PROXY_ENABLED=0\n")
    for path, text in zip((config, env), before, strict=True):
        assert path.with_name(f"{path.name}.before-restore").read_text() == text
        path.write_text(text)


def test_another_checkout_goes_on_with_users_keys_and_limits(
    first: Appliance, second: Appliance, key: str
) -> None:
    """The old key works there, the limits and the server's key are the same."""
    second.start()
    assert models_status(second, key) == 200
    user = json.loads(second.cli("show-user", "--username", "alice", "--json"))
    assert user["rate_limit"] == 777
    assert second.server_key == first.server_key


def test_users_files_are_there_and_those_alone(second: Appliance, key: str) -> None:
    """What had its content when the backup was made has it again, and has no row otherwise."""
    with openai.OpenAI(base_url=second.proxy_url + "/v1", api_key=key) as client:
        (file,) = client.files.list().data
        assert client.files.content(file.id).content == b"kept"
    files = second.root / "runtime/data/files"
    assert (mode(files), mode(files / file.id)) == (0o700, 0o600)
    assert list(files.parent.glob("restore.*")) == []


def test_what_is_there_is_replaced_only_when_it_is_meant(second: Appliance, saved: Path) -> None:
    """What came after the backup is replaced only with --yes, and what ran runs again."""
    second.cli("create-user", "--username", "later", "--quiet")
    done = second.console("restore", str(saved))
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert "later" in second.cli("list-users")
    done = second.console("restore", str(saved), "--yes")
    assert done.returncode == 0, done.stderr
    assert "later" not in second.cli("list-users")
    assert second.status()["ok"]


def run(appliance: Appliance, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run console.sh with these variables in the environment."""
    return subprocess.run(
        [appliance.root / "console.sh", *arguments],
        env=appliance.environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def uninstall(appliance: Appliance, *arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    folders = {"XDG_CACHE_HOME": str(cache), "XDG_CONFIG_HOME": str(cache)}
    return run(appliance, "uninstall", *arguments, **folders)


def test_uninstall_says_what_it_removes_and_asks(second: Appliance, tmp_path: Path) -> None:
    """Without a terminal nothing is removed unless --yes is given. Models, .env and an environment
    outside the checkout stay; --keep-data leaves the database."""
    cache = tmp_path / "llamaserve/engine"
    cache.mkdir(parents=True)
    done = uninstall(second, cache=tmp_path)
    assert done.returncode == 1
    for path in ("runtime/data/postgres", "runtime/config.env", "runtime/logs", str(tmp_path)):
        assert path in done.stderr
    assert sys.prefix in done.stderr
    second.until_well()

    data = second.root / "runtime/data"
    postgres = (data / "postgres").resolve()
    done = uninstall(second, "--keep-data", "--yes", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert postgres.exists()
    assert (second.root / "runtime/config.env").exists()
    assert not (tmp_path / "llamaserve").exists()

    assert uninstall(second, "--yes", cache=tmp_path).returncode == 0
    assert not postgres.exists()
    left = {path.name for path in (second.root / "runtime").iterdir()}
    assert left & {"data", "logs", "run", "config.env"} == set()
    assert list((second.root / "models").glob("*.gguf"))
    assert (second.root / ".env").exists()
    assert shutil.which("python", path=f"{sys.prefix}/bin")
    assert second.leftovers() == []
