"""What holds for every test: a time limit, and no unexpected skip. Tried by pytest runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.support.skips import read_expected

CONFTEST = """
from tests.conftest import pytest_addoption, pytest_make_collect_report, pytest_runtest_makereport
"""
HANGS = """
import asyncio, subprocess, sys
import pytest

@pytest.fixture
def server(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()
        print("the server was ended")

async def test_waits_for_ever(server):
    await asyncio.get_running_loop().create_future()

def test_waits_for_a_process_for_ever(server):
    server.wait()

def test_goes_on():
    pass
"""
SKIPS = """
import pytest

@pytest.mark.skip(reason="too slow here")
def test_is_marked():
    pass

@pytest.mark.parametrize("name", ["a", "b"])
def test_skips_itself(name):
    pytest.skip("no such program")

@pytest.fixture
def absent():
    pytest.skip("no such server")

def test_whose_fixture_skips(absent):
    pass

@pytest.mark.xfail(reason="a known defect")
def test_is_expected_to_fail():
    assert False

def test_passes():
    pass
"""


def run_pytest(
    folder: Path, text: str, *arguments: str, ci: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run this text as a file of tests, under the configuration and the hooks of the real ones."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(text)
    configuration = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    quiet = ["-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "--color=no"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *configuration, *quiet, *arguments, str(folder)],
        cwd=ROOT,
        env=environment | {"CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def outcomes(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What pytest's summary says of each test, by the test's name."""
    lines = [line.split() for line in run.stdout.partition("short test summary")[2].splitlines()]
    return {line[1].rpartition("::")[2]: line[0] for line in lines if "::" in "".join(line[1:2])}


def test_a_test_that_hangs_fails_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    """Also one that waits in the event loop; the processes of its fixtures are ended."""
    done = run_pytest(tmp_path, HANGS, "-o", "timeout=2")
    assert outcomes(done) == {
        "test_waits_for_ever": "FAILED",
        "test_waits_for_a_process_for_ever": "FAILED",
        "test_goes_on": "PASSED",
    }, done.stdout
    assert done.stdout.count("the server was ended") >= 2
    assert "Timeout (>2.0s)" in done.stdout


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    """The limit is set for all, and the process ends where the limit's signal is not heeded."""
    assert float(pytestconfig.getini("timeout")) > 0
    assert pytestconfig.getini("timeout_method") == "signal"
    assert float(pytestconfig.getini("faulthandler_timeout")) > float(pytestconfig.getini("timeout"))
    assert pytestconfig.getini("faulthandler_exit_on_timeout") is True


@pytest.mark.parametrize(("arguments", "ci"), [(["--no-unexpected-skips"], ""), ([], "true")])
def test_an_unexpected_skip_fails_in_continuous_integration(
    tmp_path: Path, arguments: list[str], ci: str
) -> None:
    """However the test is skipped, with its reason; and one that is expected to fail is no better."""
    done = run_pytest(tmp_path, SKIPS, *arguments, ci=ci)
    assert done.returncode == 1
    found = outcomes(done)
    assert found.pop("test_passes") == "PASSED"
    assert len(found) == 5, found
    assert set(found.values()) <= {"FAILED", "ERROR"}
    for reason in ("too slow here", "no such program", "no such server", "a known defect"):
        assert f"unexpected skip: {reason}" in done.stdout.replace("expected to fail: ", "")
    assert done.stdout.splitlines()[-1].startswith("=")


def test_a_file_that_is_skipped_as_a_whole_fails_too(tmp_path: Path) -> None:
    """pytest counts it as one skip, however many tests are in it."""
    text = "import pytest\npytest.importorskip('no_such_module')\ndef test_some(): pass\n"
    done = run_pytest(tmp_path, text, ci="true")
    assert done.returncode != 0
    assert "unexpected skip: could not import 'no_such_module'" in done.stdout


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    """Whoever lacks a program on their own machine still sees all else pass."""
    done = run_pytest(tmp_path, SKIPS)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 4 skipped, 1 xfailed" in done.stdout


def test_the_expected_skips_name_tests_that_there_are() -> None:
    """A test that is renamed or removed takes its entry with it."""
    for entry in read_expected():
        path, _, name = entry.test.partition("::")
        if "*" in path:
            assert path == "tests/*"
            continue
        text = (ROOT / path).read_text()
        assert name == "*" or f"def {name.rpartition('::')[2]}(" in text, entry


def test_a_bad_line_of_the_list_is_named(tmp_path: Path) -> None:
    """The file, the line and its text."""
    path = tmp_path / "list.txt"
    path.write_text("# comment\n\na | b\nno reason\n")
    with pytest.raises(ValueError, match=r"list\.txt, line 4: expected `test \| reason`"):
        read_expected(path)
