"""Upload forms in every shape and every way of arriving: the same file, or a clear refusal."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import ApiError
from proxy.files.form import UploadForm
from tests.proxy.files.forms import Form, Part, forms, pieces
from tests.proxy.files.test_files import files_in
from tests.support.proxy import RunningProxy
from tests.support.raw_client import RawAnswer, raw_client
from tests.support.wait import until

SIMPLE = Form(
    boundary="b",
    parts=(
        Part(name="purpose", content=b"batch"),
        Part(name="file", content=b"\r\n--\r\n--c\r\n{}\n", filename="lines.jsonl"),
    ),
)
Ending = Literal["whole", "early", "gone"]


def parsed(form: Form, *parts: bytes) -> tuple[bytes, dict[str, str]]:
    """The file and the other fields, as they are found in the parts of a body."""
    file = bytearray()
    parser = UploadForm(form.content_type, file.extend)
    for part in parts:
        parser.feed(part)
    parser.finish()
    return bytes(file), parser.fields


def test_a_form_may_be_cut_anywhere() -> None:
    """In two at any byte it is the same; one that ends at any byte but the last is refused."""
    body = SIMPLE.body
    for cut in range(len(body)):
        assert parsed(SIMPLE, body[:cut], body[cut:]) == (SIMPLE.file, {"purpose": "batch"})
        with pytest.raises(ApiError) as refusal:
            parsed(SIMPLE, body[:cut])
        assert (refusal.value.status, refusal.value.code) == (400, "invalid_form")
    assert parsed(SIMPLE, *[body[n : n + 1] for n in range(len(body))])[0] == SIMPLE.file


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_every_form(proxy: RunningProxy, key: str, data: st.DataObject) -> None:
    """Whatever its boundary, headers and parts are, however it arrives and wherever it ends: the proxy
    has the same file, or says what is wrong. Of what it refuses nothing is left on disk or in a row."""
    form = data.draw(forms())
    ending: Ending = data.draw(st.sampled_from(["whole", "whole", "early", "gone"]))
    body = form.body + data.draw(st.sampled_from([b"", b"\r\n"]))
    if ending != "whole":
        body = body[: data.draw(st.integers(0, len(form.body) - 1))]
    answer = await sent(proxy, key, form, data.draw(pieces(body)), ending)
    if answer is not None and answer.status == 200:
        assert (ending, form.is_right) == ("whole", True)
        made = json.loads(answer.body)
        async with proxy.request("GET", f"/v1/files/{made['id']}/content", key=key) as response:
            assert await response.read() == form.file
        async with proxy.request("DELETE", f"/v1/files/{made['id']}", key=key) as response:
            assert response.status == 200
    elif answer is not None:
        assert not (ending == "whole" and form.is_right), answer
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        assert error["message"].endswith((".", "it again."))
    await until(lambda: files_in(proxy) == [], "nothing to be left on disk")
    with psycopg.connect(proxy.settings.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM llama_files").fetchone() == (0,)


async def sent(
    proxy: RunningProxy, key: str, form: Form, parts: list[bytes], ending: Ending
) -> RawAnswer | None:
    """The answer to a form that is sent in chunks; None where the client goes before the last one."""
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {form.content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
    async with raw_client(proxy.url) as client:
        await client.send(head, *chunks)
        if ending == "gone":
            await asyncio.sleep(0.002)  # some of it is on its way to the disk
            return None
        await client.send(b"0\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        return answer
