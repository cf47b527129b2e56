"""bin/batch/: batches from the command line, against a proxy in a process's own event loop."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from proxy.database.pool import connect
from proxy.identity import users
from runtime.config import ROOT
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import fake_upstream


async def batch(proxy: RunningProxy, key: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command with nothing but Python: its status and what it has printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-m", "batch", *map(str, arguments), cwd=ROOT / "bin",
        env={"OPENAI_BASE_URL": proxy.url + "/v1", "OPENAI_API_KEY": key, "PATH": "/nowhere"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_a_file_becomes_results(database_url: str, directory: Path) -> None:
    """JSONL and CSV are submitted and waited for; results stand beside the file; mistakes are told."""
    with connect(database_url, application="tests") as connection:
        key = users.create_user(connection, username="alice").key
    table = directory / "prompts.csv"
    table.write_text('custom_id,prompt,max_tokens\na,"one, two",5\nb,three,\n')
    async with fake_upstream() as upstream:
        settings = settings_for(database_url=database_url, backend_url=upstream.url, directory=directory)
        async with running_proxy(settings) as proxy:
            done = await batch(proxy, key, "submit", table, "--wait", "--system", "Be brief.")
            assert done[0] == 0, done
            made = table.with_suffix(".results.jsonl")
            assert done[1] == f"{made}\n"
            results = [json.loads(line) for line in made.read_text().splitlines()]
            assert [result["custom_id"] for result in results] == ["a", "b"]
            bodies = [json.loads(one.body) for one in upstream.received]
            assert sorted(body.get("max_tokens", 0) for body in bodies) == [0, 5]
            assert all(body["messages"][0]["content"] == "Be brief." for body in bodies)

            wrong = directory / "wrong.jsonl"
            wrong.write_text("{}\n")
            status, output, errors = await batch(proxy, key, "submit", wrong, "--wait")
            assert (status, output) == (1, "")
            assert "line 1: The field 'custom_id'" in errors

            table.write_text("question\nwhy\n")
            status, _, errors = await batch(proxy, key, "submit", table)
            assert status == 1
            assert "columns are custom_id, prompt" in errors

            listed = (await batch(proxy, key, "list"))[1].splitlines()
            assert [line.split()[3] for line in listed] == ["failed", "completed"]
            status, _, errors = await batch(proxy, "lsk_wrong", "list")
            assert (status, errors[:6]) == (1, "error:")
