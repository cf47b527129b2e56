"""bin/batch/: batches from the command line, against a proxy in a process's own event loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from proxy.database.pool import connect
from proxy.identity import users
from runtime.config import ROOT
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import fake_upstream


async def batch(
    proxy: RunningProxy | SimpleNamespace, key: str, *arguments: str | Path
) -> tuple[int, str, str]:
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
            table.write_bytes(b"prompt\n\xff\n")
            status, _, errors = await batch(proxy, key, "submit", table)
            assert (status, errors.partition(": ")[0]) == (1, "error")

            listed = (await batch(proxy, key, "list"))[1].splitlines()
            assert [line.split()[3] for line in listed] == ["failed", "completed"]
            status, _, errors = await batch(proxy, "lsk_wrong", "list")
            assert (status, errors[:6]) == (1, "error:")


async def test_answers_that_break_off(directory: Path) -> None:
    """One in the middle of waiting is asked for again; results that are not whole are no results."""
    state = {
        "id": "b", "status": "completed", "waiting": None, "errors": None, "output_file_id": "file-1",
        "error_file_id": None, "request_counts": {"total": 1, "completed": 1, "failed": 0},
    }  # fmt: skip
    whole = json.dumps(state).encode()
    answers = [whole[:20], whole, b'{"custom_id"', whole, b"all of them"]
    cut = [True, False, True, False, False]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text, length = answers.pop(0), 1000 if cut.pop(0) else 0
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length or len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        there = SimpleNamespace(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        results = directory / "results.jsonl"
        status, output, errors = await batch(there, "lsk_k", "wait", "b", "--output", results)
        assert (status, output) == (1, "")
        assert "broke off" in errors
        assert "Traceback" not in errors
        assert os.listdir(directory) == []
        assert await batch(there, "lsk_k", "results", "b", "--output", results) == (
            0,
            f"{results}\n",
            "",
        )
        assert results.read_text() == "all of them"
