"""The benchmark measures the real proxy and names what it could not measure. No speed is asserted."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from runtime.config import ROOT
from tests.bench import __main__ as bench
from tests.bench import templates
from tests.bench.gateway import command, plot
from tests.bench.gateway.peers import PEERS, Launch, Peer
from tests.bench.gateway.scenarios import SCENARIOS
from tests.bench.report import Table
from tests.support.postgres import Postgres

QUICK = ["--rounds", "1", "--seconds", "0.2", "--load", "loop"]


def test_chat_is_measured(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has a line for the mock and one for our proxy, JSON every sample, SVG a bar for each."""
    json_file, svg_file = tmp_path / "bench.json", tmp_path / "bench.svg"
    files = ["--json", str(json_file), "--svg", str(svg_file)]
    absent = ["--peers", "router,portkey", "--peers-dir", str(tmp_path)]
    assert command.main(["chat", *QUICK, *files, *absent], postgres=postgres) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}/router/bin/pip install sglang-router" in printed
    assert "bundled asyncio loop" in printed
    (ours,) = [line for line in printed.splitlines() if line.startswith("ours ")]
    assert len(ours.split()) > 5
    found = json.loads(json_file.read_text())
    assert {"date", "machine", "load before", "versions", "gateways", "load", "others"} < set(found)
    cells = {row["label"]: row["cells"] for row in found["scenarios"]["chat"]["rows"]}
    for label in ("requests/s", "median at 1, ms"):
        for name in ("direct", "ours"):
            (sample,) = cells[label][name]["samples"]
            assert sample > 0
    assert set(cells["CPU µs/request"]) == {"direct", "ours"}
    drawn = ET.parse(svg_file)  # noqa: S314 - our own
    bars = drawn.findall(".//{*}rect")
    assert len(bars) == 1 + 2  # the paper, and two bars


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["chatt"], "there is no scenario 'chatt'; there are chat, stream"),
        (["--peers", "ngnix"], "unknown: ngnix; there are nginx, router"),
        (["--rounds", "0"], "must be a whole number from 1"),
        (["--seconds", "nan"], "must be a number above 0"),
        (["--load", "ab"], "must be wrk, loop or auto"),
        (["--json", "/nowhere/at/all.json"], "there is no directory /nowhere/at"),
        (["--svg", "/"], "/ is a directory; name a file"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_starts(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 2, and the message names the valid choices."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_peer_that_does_not_come_up_is_named(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 1; the peer's log and a remedy are printed."""
    launch = Launch(command=[sys.executable, "-c", "raise SystemExit('no room')"], version="1")
    monkeypatch.setitem(PEERS, "poor", Peer(name="poor", installation="", launch=lambda _: launch))
    assert command.main(["chat", *QUICK, "--peers", "poor"], postgres=postgres) == 1
    errors = capsys.readouterr().err
    assert "no room" in errors
    assert "error: poor ended with 1, its log is above: install it anew, or leave it out" in errors


def test_the_other_measurements_are_reachable(capsys: pytest.CaptureFixture[str]) -> None:
    """`bench engine` is `python -m tests.bench.engine`, with its arguments."""
    for name in bench.OTHERS:
        assert find_spec(f"tests.bench.{name}") is not None
    with pytest.raises(SystemExit) as ended:
        bench.main(["engine", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "usage: python -m tests.bench.engine" in printed
    assert "[{leaving," in printed, "without a name, all is measured"


def test_the_help_of_the_command_names_all_scenarios_and_peers() -> None:
    """The header of the script, which `./console.sh help bench` prints, names them."""
    lines = (ROOT / "runtime/commands/bench.sh").read_text().partition("\nset -")[0]
    words = set(re.findall("[a-z_-]+", lines))
    assert set(SCENARIOS) | set(PEERS) | set(bench.OTHERS) <= words


def test_ratios_are_of_rounds_and_left_out_where_there_is_nothing_to_compare() -> None:
    """A ratio is the median over rounds; a turned table has a line for each column and ratio."""
    table = Table(title="t", columns=["a", "b"], ratios=[("a", "b")], turned=True)
    table.add("both", "a", 1, 10, 100)
    table.add("both", "b", 2, 10, 1000)
    table.add("one", "a", 5)
    assert [row["ratios"]["a / b"] for row in table.data()["rows"]] == [0.5, None]
    lines = [line.split() for line in table.text().splitlines() if line]
    assert lines[1:] == [
        ["both", "one"],
        ["a", "10.0", "(1.00–100)", "5.00"],
        ["b", "10.0", "(2.00–1,000)", "-"],
        ["a", "/", "b", "0.500", "-"],
    ]


def test_a_plot_holds_what_a_name_may_hold() -> None:
    """Names and titles are escaped, and a sample of nothing is no error."""
    table = Table(title="<&>", columns=['"quoted"'])
    table.add("row", '"quoted"', 0.0)
    where = {"date": "now", "machine": "a < b", "gateways": "&"}
    drawn = ET.fromstring(plot.bars({"x": table}, where))  # noqa: S314 - our own
    texts = [text.text or "" for text in drawn.findall(".//{*}text")]
    assert any(text.startswith("<&>: row") for text in texts)
    assert "now, a < b" in texts


def test_templates_are_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that hides a role is served by fallbacks; one that does not compile is counted."""
    known = "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.content }}{% endif %}"
    (tmp_path / "broken.jinja").write_text("{% for")
    (tmp_path / "users.jinja").write_text(known + "{% endfor %}")

    assert templates.main([str(tmp_path)]) == 0

    printed = capsys.readouterr().out
    assert "1 does not compile" in printed
    assert "| users | 90 | 0 | 0 | 0 | system," in printed
