"""`/v1/files`: what OpenAI's client does with it, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import openai
import psycopg
import pytest

from proxy.files.uploads import USER_AT_A_TIME
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.wait import until

CONTENT = b'{"custom_id": "a"}\n' * 1000


def client_of(proxy: RunningProxy, key: str) -> openai.AsyncOpenAI:
    """OpenAI's client for this proxy."""
    return openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key, max_retries=0)


async def upload(proxy: RunningProxy, key: str, form: aiohttp.FormData) -> tuple[int, Any]:
    """Upload a form as it is; the response's status and JSON."""
    async with proxy.request("POST", "/v1/files", key=key, data=form) as response:
        return response.status, await response.json()


def form_of(content: bytes | BytesIO = CONTENT, **fields: str) -> aiohttp.FormData:
    """The form of an upload."""
    form = aiohttp.FormData()
    for name, value in {"purpose": "batch", **fields}.items():
        form.add_field(name, value)
    form.add_field("file", content, filename="prompts.jsonl")
    return form


def files_in(proxy: RunningProxy) -> list[Path]:
    """What is in the directory of files."""
    directory = proxy.settings.files_dir
    return sorted(directory.iterdir()) if directory.exists() else []


async def test_openais_client_uploads_lists_reads_and_deletes(proxy: RunningProxy, key: str) -> None:
    """What it has uploaded is listed, described and read back; deleted, it is gone from the disk too."""
    async with client_of(proxy, key) as client:
        made = await client.files.create(file=("prömpts.jsonl", CONTENT), purpose="batch")
        assert (made.filename, made.bytes, made.purpose) == ("prömpts.jsonl", len(CONTENT), "batch")
        assert [file.id for file in (await client.files.list()).data] == [made.id]
        assert (await client.files.retrieve(made.id)).created_at == made.created_at
        assert (await client.files.content(made.id)).content == CONTENT
        assert (await client.files.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.content(made.id)
    assert files_in(proxy) == []


async def test_a_list_comes_in_pages(proxy: RunningProxy, key: str) -> None:
    """The client walks through them in either order."""
    async with client_of(proxy, key) as client:
        made = [
            (await client.files.create(file=(f"{n}.jsonl", b"{}"), purpose="batch")).id for n in range(5)
        ]
        found = [file.id async for file in client.files.list(limit=2, order="asc")]
        assert found == made
        assert [file.id async for file in client.files.list(limit=2)] == made[::-1]


async def test_a_file_is_its_users_alone(
    proxy: RunningProxy, key: str, create_user: Callable[..., str]
) -> None:
    """Another user neither sees it nor can read or delete it."""
    _, made = await upload(proxy, key, form_of())
    async with client_of(proxy, create_user("mallory")) as client:
        assert (await client.files.list()).data == []
        for call in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError):
                await call(made["id"])


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (form_of(purpose="fine-tune"), "purpose"),
        (form_of(surprise="1"), "surprise"),
        (form_of(x="y" * 2000), "x"),
        (aiohttp.FormData({"purpose": "batch"}, default_to_multipart=True), "file"),
        (form_of(CONTENT, **{"expires_after[seconds]": "5"}), "expires_after[seconds]"),
    ],
)
async def test_a_bad_form_is_refused(
    proxy: RunningProxy, key: str, form: aiohttp.FormData, param: str
) -> None:
    """The error names the field, and nothing is left behind."""
    status, answer = await upload(proxy, key, form)
    assert (status, answer["error"]["param"]) == (400, param)
    assert files_in(proxy) == []


async def test_bounds_of_size(settings: ProxySettings, create_user: Callable[..., str]) -> None:
    """One file, one user's files and all users' files are bounded; nothing of a refused one stays."""
    limits = replace(settings, file_max_bytes=5000, user_files_bytes=9000, files_bytes=12_000)
    alice, bob = create_user("alice"), create_user("bob")
    async with running_proxy(limits) as proxy:
        assert (await upload(proxy, alice, form_of(b"x" * 5000)))[0] == 200
        answers = [
            await upload(proxy, alice, form_of(b"x" * 5001)),
            await upload(proxy, alice, form_of(b"x" * 200_000)),
            await upload(proxy, alice, form_of(b"x" * 4001)),
        ]
        assert [status for status, _ in answers] == [413] * 3
        codes = [answer["error"]["code"] for _, answer in answers]
        assert codes == ["file_too_large", "file_too_large", "storage_limit_exceeded"]
        assert (await upload(proxy, bob, form_of(b"x" * 5000)))[0] == 200
        status, answer = await upload(proxy, bob, form_of(b"x" * 2001))
        assert status == 413
        assert answer["error"]["message"].endswith("LLAMA_FILES_BYTES.")
        assert len(files_in(proxy)) == 2


class Trickle:
    """An upload that has begun and does not go on until it is told to."""

    def __init__(self, proxy: RunningProxy, key: str) -> None:
        self.go_on = asyncio.Event()
        form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
        self._pieces = [form + b"x" * 100_000]
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        self.task = asyncio.create_task(self._send(proxy, key, headers))

    async def _send(self, proxy: RunningProxy, key: str, headers: dict[str, str]) -> int:
        request = proxy.request("POST", "/v1/files", key=key, headers=headers, data=self._body())
        async with request as response:
            return int(response.status)

    async def _body(self) -> Any:
        yield self._pieces[0]
        await self.go_on.wait()


async def test_an_upload_that_is_cut_off_leaves_nothing(proxy: RunningProxy, key: str) -> None:
    """Neither where the client goes, nor where it ends the form too early."""
    left, early = Trickle(proxy, key), Trickle(proxy, key)
    await until(lambda: len(files_in(proxy)) == 2, "both uploads to be on disk")
    left.task.cancel()
    early.go_on.set()
    assert await early.task == 400
    await until(lambda: files_in(proxy) == [], "the parts to be gone")


async def test_uploads_at_a_time_are_bounded(proxy: RunningProxy, key: str) -> None:
    """A user has a few, and is told so; others are not kept from theirs."""
    running = [Trickle(proxy, key) for _ in range(USER_AT_A_TIME)]
    await until(lambda: len(files_in(proxy)) == USER_AT_A_TIME, "the uploads to begin")
    status, answer = await upload(proxy, key, form_of())
    assert (status, answer["error"]["code"]) == (503, "server_is_overloaded")
    for one in running:
        one.task.cancel()
    await until(lambda: files_in(proxy) == [], "the parts to be gone")
    assert (await upload(proxy, key, form_of()))[0] == 200


async def test_other_methods_and_paths_are_refused(proxy: RunningProxy, key: str) -> None:
    """405 with the methods there are; 404 for what is no path; both have a record."""
    for method, path, status in (
        ("PUT", "/v1/files", 405),
        ("POST", "/v1/files/file-1", 405),
        ("GET", "/v1/files/a/b", 404),
        ("GET", "/v1/files/..", 404),
        ("GET", "/v1/filesystem", 404),
        ("GET", "/v1/files?limit=0", 400),
        ("GET", "/v1/files?after=%00", 400),
    ):
        async with proxy.request(method, path, key=key) as response:
            assert response.status == status, path
    assert len(await proxy.rows(7)) == 7


async def test_files_go_with_their_user(proxy: RunningProxy, key: str, database_url: str) -> None:
    """The rows of a deleted user's files go at once; what is on disk is nobody's, and known as such."""
    _, made = await upload(proxy, key, form_of())
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM llama_users")
        assert connection.execute("SELECT count(*) FROM llama_files").fetchone() == (0,)
    assert [path.name for path in files_in(proxy)] == [made["id"]]
