"""LLAMA_SERVER_BACKENDS: several engines, their slots and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.settings import ProxySettings
from runtime.config import Config, ConfigError, load
from runtime.config.__main__ import main
from runtime.config.backends import MAX_BACKENDS, parse_backends

A, B = "http://a:8000", "https://b.example.org/engine"


def configured(root: Path, **values: str) -> Config:
    return load(
        root, {"LLAMA_SERVER_API_KEY": "common", "LLAMA_SERVER_DATABASE_URL": "postgres://x", **values}
    )


def test_engines_have_their_slots_and_keys(tmp_path: Path) -> None:
    """Slots after *, a key in a file; else the key that all have, and the slots that it reports."""
    (tmp_path / "b.key").write_text("its-own\n")
    config = configured(tmp_path, LLAMA_SERVER_BACKENDS=f"{A}/, {B}*4;key=b.key,http://c:1;key=b.key")
    backends = ProxySettings.from_config(config).all_backends
    assert [(one.url, one.slots, one.key) for one in backends] == [
        (A, None, "common"),
        (B, 4, "its-own"),
        ("http://c:1", None, "its-own"),
    ]
    assert "its-own" not in repr(backends)
    assert (config.backend_url, config.uses_local_server) == (A, False)


def test_the_file_may_hold_the_list(tmp_path: Path) -> None:
    """As it is written, in the form that the shell reads too."""
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "config.env").write_text(f"LLAMA_SERVER_BACKENDS={A},{B}*4;key=b.key\n")
    assert load(tmp_path, {}).backend_urls == (A, B)


def test_the_local_server_is_started_if_it_is_in_the_list(tmp_path: Path) -> None:
    """Named by its own URL; what looks after the one engine looks after that one."""
    config = configured(tmp_path, LLAMA_SERVER_BACKENDS=f"{A},http://127.0.0.1:8000*2")
    assert (config.uses_local_server, config.backend_url) == (True, "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (f"{A},{A}", "twice"),
        (f"{A},HTTP://A:8000/", "HTTP://A:8000 is there twice"),
        ("https://b:443/x,https://b/x", "https://b/x is there twice"),
        (f"{A},", "'' must be URL, URL.SLOTS"),
        ("a:8000", "'a:8000' must be an http:// or https:// URL"),
        (f"{A}/v1", "without /v1"),
        (f"{A}*0", "from 1 to"),
        (f"{A}*-1", "from 1 to"),
        (f"{A}*x", "whole number"),
        (f"{A} *4", "or blank"),
        (f"{A} {B}", "or blank"),
        ("http://[::1:8000", "must be an http:// or https:// URL"),
        (f"{A};key=", "key=FILE"),
        (f"{A};password=x", "key=FILE"),
        (",".join(f"http://h{n}" for n in range(MAX_BACKENDS + 1)), f"at most {MAX_BACKENDS}"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_entry(tmp_path: Path, value: str, says: str) -> None:
    """At the start, with the key's name and what is allowed."""
    with pytest.raises(ValueError, match=says):
        parse_backends(value)
    with pytest.raises(ConfigError, match="LLAMA_SERVER_BACKENDS"):
        configured(tmp_path, LLAMA_SERVER_BACKENDS=value)


def test_addresses_of_version_6_and_paths_are_engines_too(tmp_path: Path) -> None:
    """A slash at the end means nothing, and two paths of one machine are two engines."""
    config = configured(
        tmp_path, LLAMA_SERVER_BACKENDS="http://[::1]:8000/a/,http://[::1]:8000/b,http://[::1]*2"
    )
    assert config.backend_urls == ("http://[::1]:8000/a", "http://[::1]:8000/b", "http://[::1]")


def test_a_list_and_a_single_engine_exclude_each_other(tmp_path: Path) -> None:
    """Nobody could tell which of them counts."""
    with pytest.raises(ConfigError, match="only one of them"):
        configured(tmp_path, LLAMA_SERVER_BACKENDS=A, LLAMA_SERVER_BACKEND_URL=B)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("a.key", None, "No such file"),
        ("a.key", b"a b", "must be 1 to 512"),
        ("a.key", b"\xffab", "must be 1 to 512"),
        ("~nobody-here/a.key", None, "home directory"),
    ],
)
def test_a_key_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    file: str, content: bytes | None, says: str,
) -> None:  # fmt: skip
    """Its path is named, its content is not. The console's check, before anything stops, says it too."""
    if content is not None:
        (tmp_path / file).write_bytes(content)
    config = configured(tmp_path, LLAMA_SERVER_BACKENDS=f"{A};key={file}")
    with pytest.raises(ConfigError, match=f"LLAMA_SERVER_BACKENDS: .*a.key: .*{says}"):
        ProxySettings.from_config(config)
    monkeypatch.setattr("runtime.config.__main__.load", lambda: config)
    assert main(["check"]) == 1
    assert says in capsys.readouterr().err
