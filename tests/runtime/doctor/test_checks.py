"""The single checks of doctor, on situations that a whole appliance would be slow to get into."""

from __future__ import annotations

import re
import resource
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from runtime.config import ROOT, load, tls
from runtime.doctor import configuration, database, installation, machine, model, services
from runtime.doctor.findings import Finding, Installation
from runtime.engine import tuning
from runtime.supervisor import status
from runtime.supervisor.status import Part
from tests.support.gguf import build_model
from tests.support.gguf_bert import random_bert
from tests.support.gguf_projector import build_projector
from tests.support.pooler import PROGRAM, Pooler
from tests.support.postgres import Postgres
from tests.support.small_disk import small_disk

SECRET = "very-secret-indeed"


def installation_in(root: Path, **values: str) -> Installation:
    """A checkout with this configuration, for a single check."""
    return Installation(root=root, config=load(root, values), venv=Path(sys.prefix))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended it with SIGILL"),
        ("raise OSError('libcuda.so is missing')", "OSError: libcuda.so is missing"),
    ],
    ids=["illegal instruction", "missing library"],
)
def test_an_engine_that_cannot_read_a_prompt_is_a_problem(
    tmp_path: Path, script: str, reason: str
) -> None:
    """With the reason, and the command that builds it again without the machine's special kernels."""
    (tmp_path / "runtime/install").mkdir(parents=True)
    (tmp_path / "runtime/install/engine_proof.py").write_text(script)
    pin = (ROOT / "runtime/requirements-engine.txt").read_text()
    (tmp_path / "runtime/requirements-engine.txt").write_text(pin)
    found = list(installation.engine(installation_in(tmp_path)))
    assert found[0].level == "problem"
    assert found[0].text.endswith(reason)
    assert "rm -f " in found[0].remedy
    assert "CMAKE_ARGS=" in found[0].remedy
    assert found[0].remedy.endswith(" runtime/install.sh")


def test_the_engine_of_this_environment_reads_a_prompt() -> None:
    """With the starter model, as the installation proves it."""
    assert installation.prove_engine(ROOT) == ""


@pytest.mark.parametrize(
    ("limit", "level"),
    [(256, "problem"), (2048, "warning"), (4352, "ok"), (resource.RLIM_INFINITY, "ok")],
)
def test_too_few_open_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, level: str
) -> None:
    """The limit, the number that LLAMA_PROXY_MAX_CONNECTIONS needs, and the command that raises it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, limit))
    (found,) = machine.open_files(installation_in(tmp_path))
    assert found.level == level
    if level != "ok":
        assert f"may open {limit} files; 4352 are needed" in found.text
        assert "ulimit -n 4352" in found.remedy


def test_a_full_disk_is_a_problem(tmp_path: Path) -> None:
    """The disk of the data directory is examined, wherever it is."""
    with small_disk(tmp_path / "small"):
        found = list(
            machine.disk(installation_in(tmp_path, LLAMA_DATA_DIR=str(tmp_path / "small/data")))
        )
    assert [one.level for one in found] == ["ok", "problem"]
    assert str(tmp_path / "small/data") in found[1].text


def test_records_that_do_not_go_to_the_database_are_told(tmp_path: Path) -> None:
    """Waiting records are a warning, and so are rejected ones, with the path of their file."""
    installation = installation_in(tmp_path, LLAMA_DATA_DIR=str(tmp_path))
    assert list(machine.spool(installation)) == []
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "a.spool").write_bytes(bytes(2**20))
    assert [one.level for one in machine.spool(installation)] == ["ok"]
    with (spool / "a.spool").open("r+b") as file:
        file.truncate(2**25)
    (spool / "rejected.lines").write_text("E\tnonsense\n")
    waiting, rejected = machine.spool(installation)
    assert (waiting.level, rejected.level) == ("warning", "warning")
    assert waiting.text.startswith("32.0 MB ")
    assert str(spool / "rejected.lines") in rejected.text


def test_a_clock_before_the_release_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test cannot set the clock, so the release is moved into the future instead."""
    monkeypatch.setattr(machine, "_RELEASED", datetime(2999, 1, 1, tzinfo=UTC))
    (found,) = machine.clock(installation_in(tmp_path))
    assert found.level == "problem"


def certificate(folder: Path, *, expires: datetime | None = None) -> dict[str, str]:
    """A certificate and its key, as configuration values."""
    made = trustme.CA().issue_cert("chat.example.org", not_after=expires)
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    return {
        "LLAMA_PROXY_TLS_CERT": str(folder / "cert.pem"),
        "LLAMA_PROXY_TLS_KEY": str(folder / "key.pem"),
    }


def checked_certificate(root: Path, values: dict[str, str]) -> list[Finding]:
    return list(configuration.certificate(installation_in(root, **values)))


def test_a_good_certificate_is_told_with_its_days(tmp_path: Path) -> None:
    """One that expires soon is a warning, and a key that others can read is a problem."""
    (found,) = checked_certificate(tmp_path, certificate(tmp_path))
    assert found.level == "ok"
    soon = certificate(tmp_path, expires=datetime.now(UTC) + timedelta(days=2, hours=6))
    (tmp_path / "key.pem").chmod(0o640)
    ending, readable = checked_certificate(tmp_path, soon)
    assert (ending.level, ending.text) == ("warning", "the certificate is valid for 2 more days")
    assert (readable.level, "chmod 600" in readable.remedy) == ("problem", True)


def test_a_certificate_that_cannot_be_used_is_told_why(tmp_path: Path) -> None:
    """Expired, with the wrong key, missing, or not a certificate."""
    expired = certificate(tmp_path, expires=datetime(2021, 1, 1, tzinfo=UTC))
    assert "expired" in checked_certificate(tmp_path, expired)[0].text
    values = certificate(tmp_path)
    key = (tmp_path / "key.pem").read_bytes()
    certificate(tmp_path)
    (tmp_path / "key.pem").write_bytes(key)
    assert "the key does not belong to the certificate" in checked_certificate(tmp_path, values)[0].text
    (tmp_path / "key.pem").write_text("nothing")
    assert "not PEM" in checked_certificate(tmp_path, values)[0].text
    (tmp_path / "cert.pem").unlink()
    assert "No such file" in checked_certificate(tmp_path, values)[0].text
    with pytest.raises(tls.TLSError, match="LLAMA_PROXY_TLS_CERT"):
        tls.valid_until(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_database_of_ones_own_without_the_schema(postgres: Postgres, empty_database_url: str) -> None:
    """It is reached, and the remedy is the command that creates the schema."""
    place = installation_in(Path("/nowhere"), LLAMA_SERVER_DATABASE_URL=empty_database_url)
    found = list(database.state(place))
    assert [one.level for one in found] == ["ok", "problem", "ok"]
    assert found[1].remedy.endswith("init-db")


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    """The message names its address, without the password."""
    url = f"postgresql://u:{SECRET}@127.0.0.1:1/d"
    (found,) = database.state(installation_in(tmp_path, LLAMA_SERVER_DATABASE_URL=url))
    assert found.level == "problem"
    assert "127.0.0.1, port 1" in found.text
    assert SECRET not in found.text + found.remedy


def test_several_models_and_none_chosen(tmp_path: Path) -> None:
    """The problem lists their names; the remedy says how to choose one."""
    (tmp_path / "models").mkdir()
    for name in ("a.gguf", "b.gguf"):
        build_model(tmp_path / "models" / name)
    (found,) = model.chosen(installation_in(tmp_path))
    assert found.text == "there are several models: a.gguf b.gguf"
    assert found.remedy.startswith("Choose with --model FILE")


def test_a_model_that_embeds_is_examined_with_the_one_beside_it(tmp_path: Path) -> None:
    """Its memory is told; a file that cannot embed is a problem with a remedy."""
    (tmp_path / "models").mkdir()
    build_model(tmp_path / "models" / "chat.gguf")
    random_bert().write(tmp_path / "models" / "embedding.gguf")
    key = "LLAMA_SERVER_EMBEDDING_MODEL"
    good = list(model.chosen(installation_in(tmp_path, **{key: "embedding.gguf"})))
    bad = list(model.chosen(installation_in(tmp_path, **{key: "chat.gguf"})))

    assert good[0].text.endswith("chat.gguf")
    assert good[1].text.startswith("embedding.gguf embeds beside it, with about ")
    assert bad[1].level == "problem"
    assert "LLAMA_SERVER_EMBEDDING_POOLING" in bad[1].remedy


def test_the_projector_is_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is told. A missing file, a model in its place, and an llama.cpp without the library for
    images are problems with a remedy."""
    (tmp_path / "models").mkdir()
    build_model(tmp_path / "models" / "chat.gguf")
    build_projector(tmp_path / "models" / "mmproj.gguf")

    def found(name: str, *, has_library: bool = True) -> Finding:
        monkeypatch.setattr(tuning, "has_image_library", lambda: has_library)
        return list(model.chosen(installation_in(tmp_path, LLAMA_SERVER_MMPROJ=name)))[1]

    assert re.fullmatch("images are read with mmproj.gguf, [0-9]+ KB", found("mmproj").text)
    assert "does not exist" in found("nowhere").text
    assert "LLAMA_SERVER_MMPROJ" in found("chat").remedy
    without = found("mmproj", has_library=False)
    assert (without.level, "runtime/install.sh" in without.remedy) == ("problem", True)


def test_a_model_that_embeds_and_is_served_is_noted(tmp_path: Path) -> None:
    """With the settings that it has; a chat template is not missed."""
    path = random_bert().write(tmp_path / "embedding.gguf")
    found = list(model.chosen(installation_in(tmp_path, LLAMA_SERVER_MODEL=str(path))))

    assert [finding.level for finding in found[:2]] == ["ok", "note"]
    assert "does not generate" in found[1].text
    assert not any("chat template" in finding.text for finding in found)
    assert any(finding.text.startswith("longest input: 128 ") for finding in found)


@pytest.mark.parametrize(
    ("name", "key"),
    [("postgres", "LLAMA_SERVER_DATABASE_URL"), ("server", "LLAMA_SERVER_BACKEND_URL")],
)
def test_a_part_that_runs_elsewhere_has_no_log_here(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy names the configuration key with its address, not a log."""
    part = Part(name=name, state="external", health="Connection refused")
    monkeypatch.setattr(status, "parts", lambda *_: [part])
    place = replace(installation_in(Path("/nowhere")), programs={"proxy": 1})
    (found,) = services.processes(place)
    assert "Connection refused" in found.text
    assert key in found.remedy
    assert "logs" not in found.remedy


def test_what_is_open_to_the_network_is_told(tmp_path: Path) -> None:
    """A server that is reachable without a key, and a proxy without TLS."""
    place = installation_in(tmp_path, LLAMA_SERVER_HOST="0.0.0.0", LLAMA_PROXY_HOST="0.0.0.0")  # noqa: S104
    assert [one.level for one in configuration.addresses(place)] == ["warning", "warning", "note"]


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
def test_a_pooler_that_swallows_notifications_is_a_warning(database_url: str, tmp_path: Path) -> None:
    """Behind one in transaction mode; a direct connection has no such finding."""
    with Pooler(database_url) as pooler:
        for url, warned in ((pooler.url, True), (database_url, False)):
            found = list(database.state(installation_in(tmp_path, LLAMA_SERVER_DATABASE_URL=url)))
            assert any("notifications do not arrive" in finding.text for finding in found) is warned


def test_of_several_engines_those_that_are_not_used_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the running proxy sees them; and one that has two names."""
    urls = ("http://127.0.0.1:8000", "http://localhost:8000", "https://nowhere.invalid")
    states = [("ready", None), ("drained", None), ("away", "certificate verify failed")]
    shown = [
        {"url": url, "state": state, "problem": problem, "slots": 4}
        for url, (state, problem) in zip(urls, states, strict=True)
    ]
    monkeypatch.setattr("runtime.supervisor.backends._ask", lambda _: {"data": shown})
    monkeypatch.setattr("socket.getaddrinfo", resolved)
    checkout = replace(
        installation_in(tmp_path, LLAMA_SERVER_BACKENDS=",".join(urls)), programs={"proxy": 1}
    )
    assert [(one.level, one.text) for one in services.engines(checkout)] == [
        ("warning", f"{urls[0]} and {urls[1]} are one engine, which gets twice its slots"),
        ("ok", f"the engine {urls[0]} is used, with 4 slots"),
        ("note", f"the engine {urls[1]} is drained"),
        ("warning", f"the engine {urls[2]} is not used: away: certificate verify failed"),
    ]
    assert not list(services.engines(installation_in(tmp_path)))


def resolved(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
    """As getaddrinfo, without asking anybody."""
    if host.endswith(".invalid"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_key_files_of_engines_are_there_and_private(tmp_path: Path) -> None:
    """Each with its path; the content is not shown."""
    (tmp_path / "b.key").write_text(SECRET)
    (tmp_path / "b.key").chmod(0o644)
    checkout = installation_in(
        tmp_path,
        LLAMA_SERVER_BACKENDS="http://a;key=a.key,http://b;key=b.key,http://c;key=~nobody-here/c",
    )
    found = [one.text for one in configuration.keys(checkout) if one.level == "problem"]
    assert found[0] == f"LLAMA_SERVER_BACKENDS: {tmp_path / 'a.key'}: No such file or directory"
    assert "home directory" in found[1]
    assert len(found) == 2
    (opened,) = configuration.permissions(checkout)
    assert opened.text == (
        "the key of http://b contains a secret, and other users can read it (mode 0644)"
    )
