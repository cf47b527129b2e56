"""The configuration files: Python and the shell parse them in the same way; the rules of precedence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.config import ROOT, load
from runtime.config.env_file import ConfigError, parse_env

GOOD = {
    "bare": ("LLAMA_A=1", {"LLAMA_A": "1"}),
    "empty": ("LLAMA_A=", {"LLAMA_A": ""}),
    "nothing": ("", {}),
    "single quotes": ("LLAMA_A='x y'", {"LLAMA_A": "x y"}),
    "double quotes": ('LLAMA_A="x y"', {"LLAMA_A": "x y"}),
    "quotes in quotes": ("LLAMA_A='\"'\nLLAMA_B=\"it's\"", {"LLAMA_A": '"', "LLAMA_B": "it's"}),
    "empty quotes": ("LLAMA_A=''", {"LLAMA_A": ""}),
    "signs in single quotes": ("LLAMA_A='#$`=&;|'", {"LLAMA_A": "#$`=&;|"}),
    "hash in double quotes": ('LLAMA_A="a # b"', {"LLAMA_A": "a # b"}),
    "equals sign": ("LLAMA_A=b=c==", {"LLAMA_A": "b=c=="}),
    "url": (
        "LLAMA_A=postgresql://u:p@h:5432/d?x=1&y",
        {"LLAMA_A": "postgresql://u:p@h:5432/d?x=1&y"},
    ),
    "letters beyond ASCII": ("LLAMA_A=Jürgen/模型.gguf", {"LLAMA_A": "Jürgen/模型.gguf"}),
    "comment": ("# LLAMA_A=1\n  # it's \"one\nLLAMA_B=2", {"LLAMA_B": "2"}),
    "comment after a value": ("LLAMA_A=1 # why\nLLAMA_B='2'\t# why", {"LLAMA_A": "1", "LLAMA_B": "2"}),
    "comment after nothing": ("LLAMA_A= # why", {"LLAMA_A": ""}),
    "tab in a comment": ("# a\tb\nLLAMA_A=1", {"LLAMA_A": "1"}),
    "indented": ("  LLAMA_A=1  \n\tLLAMA_B=2\t", {"LLAMA_A": "1", "LLAMA_B": "2"}),
    "blank lines": ("\n\n  \nLLAMA_A=1\n\n", {"LLAMA_A": "1"}),
    "CRLF": ("LLAMA_A=1\r\nLLAMA_B='2'\r\n# c\r\n\r\n", {"LLAMA_A": "1", "LLAMA_B": "2"}),
    "no newline at the end": ("LLAMA_A=1\nLLAMA_B=2", {"LLAMA_A": "1", "LLAMA_B": "2"}),
    "the last line wins": ("LLAMA_A=1\nLLAMA_A=2\nLLAMA_A=3", {"LLAMA_A": "3"}),
    "others' keys": ("PATH=/nowhere\nIFS='x'\nXLLAMA_A=1\nLLAMA_A=1", {"LLAMA_A": "1"}),
    "both prefixes": ("POSTGRES_AUTH_DB=d\nPOSTGRES_DB=e", {"POSTGRES_AUTH_DB": "d"}),
    "byte order mark": ("\ufeffLLAMA_A=1\nLLAMA_B=2", {"LLAMA_A": "1", "LLAMA_B": "2"}),
    "nothing is run": ("LLAMA_A='$(touch /tmp/x)'", {"LLAMA_A": "$(touch /tmp/x)"}),
}

BAD = {
    "blank before =": "LLAMA_A =1",
    "blank after =": "LLAMA_A= 1",
    "two words": "LLAMA_A=a b",
    "export": "export LLAMA_A=1",
    "no =": "LLAMA_A",
    "no key": "=1",
    "a key that begins with a digit": "1LLAMA=1",
    "dash in a key": "LLAMA-A=1",
    "open single quote": "LLAMA_A='a",
    "open double quote": 'LLAMA_A="a',
    "text after a quote": "LLAMA_A='a'b",
    "quote inside": "LLAMA_A=a'b'",
    "backslash": "LLAMA_A=a\\b",
    "backslash in quotes": "LLAMA_A='a\\b'",
    "variable": "LLAMA_A=$HOME",
    "variable in double quotes": 'LLAMA_A="$HOME"',
    "command": "LLAMA_A=`id`",
    "command in double quotes": 'LLAMA_A="`id`"',
    "hash inside": "LLAMA_A=a#b",
    "hash at once": "LLAMA_A=#b",
    "hash after a quote": "LLAMA_A='a'#b",
    "carriage return inside": "LLAMA_A='a\rb'",
    "carriage return in a comment": "# a\rLLAMA_A=1",
    "bell": "LLAMA_A='\x07'",
    "byte order mark after the first line": "\ufeffLLAMA_A=1",
    "someone else's bad line": "PATH = 1",
    "more than one line": "LLAMA_A='a\nb'",
}

LOAD = '. "$1"/runtime/shell/lib.sh; load_env "$2"; env -0'


def load_env(
    path: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run lib.sh's load_env on a file, in a clean environment."""
    return subprocess.run(
        ["bash", "-c", LOAD, "-", ROOT, path],
        env={"PATH": "/usr/bin:/bin"} | (environment or {}),
        capture_output=True,
        check=False,
    )


def ours(output: bytes) -> dict[str, str]:
    pairs = (entry.decode().partition("=") for entry in output.split(b"\0") if entry)
    return {name: value for name, _, value in pairs if name.startswith(("LLAMA_", "POSTGRES_AUTH"))}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD.keys())
def test_good_lines_mean_the_same_to_both(text: str, expected: dict[str, str], tmp_path: Path) -> None:
    """parse_env and load_env read the same values from the same file."""
    path = tmp_path / "file.env"
    path.write_bytes(text.encode())
    shell = load_env(path)
    assert parse_env(text, where="file.env") == expected
    assert (shell.returncode, ours(shell.stdout), shell.stderr) == (0, expected, b"")


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_bad_lines_are_refused_by_both(line: str, tmp_path: Path) -> None:
    """Both messages name the file and the line number, and neither shows the line."""
    path = tmp_path / "file.env"
    text = f"LLAMA_OK=yes\n{line}\n"
    path.write_bytes(text.encode())
    shell = load_env(path)
    with pytest.raises(ConfigError) as refused:
        parse_env(text, where=str(path))
    assert shell.returncode == 1
    for message in (str(refused.value), shell.stderr.decode()):
        assert f"{path}:{text.count(chr(10), 0, text.index(line)) + 1}: " in message
        assert line not in message


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    """load_env ignores a file that does not exist."""
    assert load_env(tmp_path / "none.env").returncode == 0


def test_the_environment_wins_over_a_file_in_the_shell(tmp_path: Path) -> None:
    """A key that is set in the environment keeps its value, even an empty one."""
    path = tmp_path / "file.env"
    path.write_text("LLAMA_A=file\nLLAMA_B=file\nLLAMA_C=file\nLLAMA_A=file again\n".replace(" a", "-a"))
    found = load_env(path, {"LLAMA_A": "environment", "LLAMA_B": ""})
    assert ours(found.stdout) == {"LLAMA_A": "environment", "LLAMA_B": "", "LLAMA_C": "file"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout's directory without files."""
    (tmp_path / "runtime").mkdir()
    return tmp_path


def test_precedence(root: Path) -> None:
    """Environment > .env > runtime/config.env > default."""
    (root / "runtime/config.env").write_text(
        "LLAMA_SERVER_PORT=1001\nLLAMA_PROXY_PORT=1002\nLLAMA_PROXY_RATE_LIMIT=1003\n"
    )
    (root / ".env").write_text("LLAMA_SERVER_PORT=2001\nLLAMA_PROXY_PORT=2002\n")
    config = load(root, {"LLAMA_SERVER_PORT": "3001"})
    names = ("LLAMA_SERVER_PORT", "LLAMA_PROXY_PORT", "LLAMA_PROXY_RATE_LIMIT", "POSTGRES_AUTH_PORT")
    assert [config.integer(name) for name in names] == [3001, 2002, 1003, 5432]


def test_paths_in_the_shell_follow_the_same_precedence(root: Path) -> None:
    """load_paths reads both files, and none of their values enters the environment."""
    script = root / "runtime/shell/lib.sh"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "runtime/shell/lib.sh").read_bytes())
    (root / "runtime/config.env").write_text("LLAMA_DATA_DIR=one\nLLAMA_VENV_DIR='/a b/venv'\n")
    (root / ".env").write_text("LLAMA_DATA_DIR=two\n")
    command = f'. "{script}"; load_paths; echo "$DATA_DIR|$VENV_DIR|$LOG_DIR|${{LLAMA_DATA_DIR-unset}}"'
    found = subprocess.run(
        ["bash", "-c", command], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    base = root.resolve()
    assert found.stdout.decode().strip() == f"{base}/two|/a b/venv|{base}/runtime/logs|unset"
    assert load(root, {}).data_dir == root / "two"


def test_an_unknown_key_in_a_file_is_an_error(root: Path) -> None:
    """The message names the file, the key, and the key that was probably meant."""
    (root / ".env").write_text("LLAMA_SERVER_PROT=8000\n")
    with pytest.raises(ConfigError, match=r"\.env: unknown key LLAMA_SERVER_PROT .*LLAMA_SERVER_PORT"):
        load(root, {})


def test_an_unknown_key_in_the_environment_is_a_warning(root: Path) -> None:
    """Other programs have LLAMA_ variables, too."""
    config = load(root, {"LLAMA_CACHE": "/x"})
    assert [warning for warning in config.warnings if "LLAMA_CACHE" in warning]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LLAMA_SERVER_PORT", "0", "1 to 65535"),
        ("LLAMA_SERVER_PORT", "65536", "1 to 65535"),
        ("LLAMA_SERVER_PORT", "8O00", "1 to 65535"),
        ("LLAMA_PROXY_RATE_LIMIT", "1.5", "whole number"),
        ("LLAMA_PROXY_RATE_LIMIT", "0", "1 to"),
        ("LLAMA_PROXY_RATE_WINDOW_SECONDS", "0", "seconds from 0.001"),
        ("LLAMA_PROXY_RATE_WINDOW_SECONDS", "nan", "seconds from 0.001"),
        ("LLAMA_PROXY_DRAIN_SECONDS", "-1", "seconds from 0"),
        ("LLAMA_PROXY_ENABLED", "yes", "0 or 1"),
        ("LLAMA_PROXY_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("LLAMA_PROXY_HOST", "a b", "host name"),
        ("LLAMA_SERVER_BACKEND_URL", "localhost:9000", "http://"),
        ("LLAMA_SERVER_BACKEND_URL", "http://", "http://"),
        ("LLAMA_SERVER_BACKEND_URL", "http://engine:9000/v1/", "without /v1"),
        ("LLAMA_SERVER_DATABASE_URL", "mysql://x", "postgresql://"),
        ("LLAMA_SERVER_MODEL", "a\nb", "control characters"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    name: str, value: str, allowed: str, root: Path
) -> None:
    """The message names the place, the key and the allowed values."""
    with pytest.raises(ConfigError) as refused:
        load(root, {name: value})
    (problem,) = refused.value.problems
    assert problem.startswith(f"environment: {name}")
    assert allowed in problem


def test_a_secret_is_never_shown(root: Path) -> None:
    """It appears neither in the message for a bad value nor in the configuration's repr."""
    with pytest.raises(ConfigError) as refused:
        load(root, {"LLAMA_SERVER_API_KEY": "geheim geheim"})
    assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(load(root, {"LLAMA_SERVER_API_KEY": "geheim"}))


def test_every_problem_is_told_at_once(root: Path) -> None:
    """Three mistakes in three places give three lines."""
    (root / ".env").write_text("LLAMA_SERVER_PORT=x\n")
    (root / "runtime/config.env").write_text("LLAMA_NOPE=1\n")
    with pytest.raises(ConfigError) as refused:
        load(root, {"LLAMA_PROXY_ENABLED": "2"})
    assert len(refused.value.problems) == 3


def test_an_empty_value_counts_as_not_set(root: Path) -> None:
    """The default is used."""
    (root / ".env").write_text("LLAMA_SERVER_PORT=\n")
    assert load(root, {}).integer("LLAMA_SERVER_PORT") == 8000


def test_both_tls_files_or_none(root: Path) -> None:
    """A certificate without its key is refused."""
    with pytest.raises(ConfigError, match="go together"):
        load(root, {"LLAMA_PROXY_TLS_CERT": "cert.pem"})
