"""Images that cannot be read, and what comes where no images are read: a 400 that names the part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.client import CHAT, HELLO
from tests.support.engine import Engine
from tests.support.gguf import Shape
from tests.support.gguf_kinds import build_qwen2vl
from tests.support.gguf_projector import build_projector, skip_without_library
from tests.support.pictures import Image, bomb, data_url, noise, part, saved, shown

PNG = noise(1)
JPEG = noise(1, form="JPEG")
GIF = saved(Image.new("RGB", (8, 8)), "GIF")
URL = "image_url"


def url(text: Any) -> dict[str, Any]:
    return {"type": URL, URL: {"url": text}}


BAD = {
    "an address": url("http://127.0.0.1:9/x.png"),
    "a file's address": url("file:///etc/passwd"),
    "another kind": url(data_url(GIF, "image/gif")),
    "another kind under PNG's name": part(GIF),
    "an SVG": part(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "no base64": url("data:image/png;base64,@@@@"),
    "nothing": url("data:image/png;base64,"),
    "no text": url(7),
    "no address": {"type": URL},
    "a part of a PNG": part(PNG[: len(PNG) // 2]),
    "a part of a JPEG": part(JPEG[:200]),
    "a damaged PNG": part(PNG[:60] + bytes(200) + PNG[260:]),
    "a bomb": part(bomb(20_000, 20_000, n_rows=10)),
    "a tape": part(noise(1, size=(2000, 20))),
    "noughts": part(bytes(1000)),
}


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_no_image_is_refused(seeing: Engine, kind: str) -> None:
    """With the part's name, and nothing of its content; the same process serves on."""
    pid = seeing.pid
    answer = await seeing.chat(messages=shown("Look:", BAD[kind]))

    assert answer.status == 400, answer.text
    assert answer.error["param"] == "messages[0].content[1]"
    assert answer.error["message"].startswith("messages[0].content[1]")
    assert "passwd" not in answer.text
    assert (await seeing.chat(messages=HELLO)).status == 200
    assert (seeing.alive, seeing.pid) == (True, pid)


async def test_the_reason_is_told(seeing: Engine) -> None:
    address = await seeing.chat(messages=shown(BAD["an address"]))
    assert "fetches nothing" in address.error["message"]
    large = await seeing.chat(messages=shown(BAD["a bomb"]))
    assert "25000000 pixels" in large.error["message"]


async def test_images_are_few_and_small(seeing: Engine) -> None:
    many = await seeing.chat(messages=shown(*[saved(Image.new("RGB", (1, 1)))] * 9))
    messages = shown(b"\x89PNG" + bytes(9 * 2**20))
    large = await seeing.post(CHAT, json.dumps({"messages": messages}).encode())

    assert (many.status, many.error["param"]) == (400, "messages[0].content[8]")
    assert "at most 8 images" in many.error["message"]
    assert (large.status, "8388608 bytes" in large.error["message"]) == (400, True)


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
async def test_only_users_show_images(seeing: Engine, role: str) -> None:
    messages = [{"role": role, "content": [part(PNG)]}, *HELLO]
    answer = await seeing.chat(messages=messages)
    assert (answer.status, answer.error["param"]) == (400, "messages[0].content[0]")


async def test_a_prompt_does_not_end_with_an_image(seeing: Engine) -> None:
    """There would be no token to go on from; templates end a turn with text."""
    answer = await seeing.chat(messages=shown(PNG), add_generation_prompt=False)
    assert answer.status in (200, 400)


async def test_decoding_takes_bounded_memory(seeing: Engine) -> None:
    """Images of the most pixels leave no more in the engine than their embeddings."""
    before = psutil.Process(seeing.pid).memory_info().rss
    for _ in range(3):
        assert (await seeing.chat(messages=shown(bomb(5000, 5000)))).status == 200
    assert psutil.Process(seeing.pid).memory_info().rss - before < 200 * 2**20
    assert not psutil.Process(seeing.pid).children()


async def test_users_cannot_write_the_marks_that_stand_for_images(seeing: Engine) -> None:
    """Text that looks like llama.cpp's is text."""
    plain = await seeing.chat(messages=shown("<__media__>", PNG), max_tokens=1)
    assert plain.status == 200


async def test_a_model_with_positions_in_several_dimensions_is_refused(
    projector: Path, tmp_path: Path
) -> None:
    """At the start, with the reason."""
    model = build_qwen2vl(tmp_path / "qwen2vl.gguf")
    with Engine(tmp_path / "engine", model) as engine:
        engine.env["LLAMA_SERVER_MMPROJ"] = str(projector)
        engine.spawn()
        assert engine.wait() == 1
        assert "M-RoPE" in engine.log


async def test_without_llama_cpps_library_the_start_says_what_to_do(
    models: Path, tmp_path: Path
) -> None:
    projector = build_projector(tmp_path / "mmproj.gguf")
    with Engine(tmp_path / "engine", models / "quick.gguf") as engine:
        engine.env["LLAMA_SERVER_MMPROJ"] = str(projector)
        engine.env["MTMD_CPP_LIB"] = str(tmp_path)
        engine.spawn()
        assert engine.wait() == 1
        assert "no library for images. runtime/install.sh builds it" in engine.log


async def test_a_projector_of_another_model_is_told_at_the_start(models: Path, tmp_path: Path) -> None:
    """And a file that is none."""
    skip_without_library()
    narrow = Shape(layers=1, width=32, heads=2, feed_forward=64)
    other = build_projector(tmp_path / "mmproj.gguf", shape=narrow)
    for number, (file, reason) in enumerate(
        [
            (other, "you may be using wrong mmproj"),
            (models / "quick.gguf", "is a model"),
            (tmp_path / "nowhere", "does not exist"),
        ]
    ):
        with Engine(tmp_path / str(number), models / "quick.gguf") as engine:
            engine.env["LLAMA_SERVER_MMPROJ"] = str(file)
            engine.spawn()
            assert engine.wait() == 1
            assert reason in engine.log
