"""compose.yaml and .env.example: the user's own PostgreSQL, and the values that connect to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from runtime import config
from runtime.config.env_file import parse_env
from tests.support.postgres import ROOT, TcpPostgres

EXAMPLE = parse_env((ROOT / ".env.example").read_text(), where=".env.example")


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """The only service, as docker compose reads it."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert list(services) == ["postgres"]
    found: dict[str, Any] = services["postgres"]
    return found


def test_every_variable_of_compose_is_in_the_example() -> None:
    """A copy of .env.example sets all variables of compose.yaml."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert {"POSTGRES_AUTH_USER", "POSTGRES_AUTH_PASSWORD", "POSTGRES_AUTH_DB"} <= used
    assert used <= set(EXAMPLE)
    assert set(EXAMPLE) <= set(config.KEYS)


def test_a_missing_password_is_an_error(service: dict[str, Any]) -> None:
    """Compose stops and names the variable instead of starting a database without a password."""
    assert service["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_AUTH_PASSWORD:?")


def test_the_image_is_of_one_major_version(service: dict[str, Any]) -> None:
    """A pull never gets a version that cannot read the data."""
    assert re.fullmatch(r"postgres:\d+", service["image"])


def test_it_listens_on_this_machine_only(service: dict[str, Any]) -> None:
    """The port is not open to the network by default."""
    assert [port.split(":")[0] for port in service["ports"]] == ["127.0.0.1"]


def test_the_data_outlive_the_container(service: dict[str, Any]) -> None:
    """They are in a named volume, mounted where images of version 18 and later keep them."""
    volumes = yaml.safe_load((ROOT / "compose.yaml").read_text())["volumes"]
    name, place = service["volumes"][0].split(":")
    assert name in volumes
    assert place == "/var/lib/postgresql"
    assert service["restart"] == "unless-stopped"


def test_health_is_asked_of_the_server_that_stays(service: dict[str, Any]) -> None:
    """Over TCP: the image's temporary server, which runs while the database is created, has no TCP."""
    kind, command = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert command.startswith("pg_isready -h 127.0.0.1 ")


def test_the_example_leads_to_a_real_server(tmp_path: Path) -> None:
    """A PostgreSQL with the values of .env.example accepts a login with the password, and only with
    it."""
    with TcpPostgres(
        user=EXAMPLE["POSTGRES_AUTH_USER"],
        password=EXAMPLE["POSTGRES_AUTH_PASSWORD"],
        database=EXAMPLE["POSTGRES_AUTH_DB"],
    ) as server:
        text = (ROOT / ".env.example").read_text()
        (tmp_path / ".env").write_text(f"{text}POSTGRES_AUTH_PORT={server.port}\n")
        url = config.load(tmp_path, {}).database_url()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("llamaserve",)
        wrong = config.load(tmp_path, {"POSTGRES_AUTH_PASSWORD": "guess #1"}).database_url()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_a_password_of_any_characters_survives_the_url(tmp_path: Path) -> None:
    """Characters with a meaning in URLs are a part of the password only."""
    password = "p@ss:/?#[]%&+= $word"
    with TcpPostgres(user="some one", password=password, database="data/base") as server:
        (tmp_path / ".env").write_text(
            f"POSTGRES_AUTH_HOST=127.0.0.1\nPOSTGRES_AUTH_PORT={server.port}\n"
            f"POSTGRES_AUTH_USER='some one'\nPOSTGRES_AUTH_DB=data/base\n"
            f"POSTGRES_AUTH_PASSWORD='{password}'\n"
        )
        with psycopg.connect(config.load(tmp_path, {}).database_url()) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("some one",)
