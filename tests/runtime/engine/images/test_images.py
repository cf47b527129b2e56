"""What the model sees, what an image counts, and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.engine.images.conftest import N_TOKENS
from tests.support.client import CHAT, Answer
from tests.support.engine import Engine
from tests.support.gguf_kinds import build_gemma
from tests.support.gguf_projector import build_projector, skip_without_library
from tests.support.pictures import Reference, bomb, data_url, noise, shown
from tests.support.wait import until

GREEDY = {"temperature": 0, "repeat_penalty": 1.0, "max_tokens": 24}
ALICE = {"X-Llamaserve-User": "alice"}


async def look(engine: Engine, *parts: Any, user: str = "alice", **more: Any) -> Answer:
    body = {"messages": shown(*parts), **GREEDY, **more}
    return await engine.post(CHAT, json.dumps(body).encode(), headers={"X-Llamaserve-User": user})


def _prompt(*parts: str) -> str:
    """What the models' template makes of a message."""
    text = "\n".join(parts)
    return f"<s><|user|>\n{text}\n<|assistant|>\n"


def _logprobs(answer: Answer) -> list[float]:
    return [one["logprob"] for one in answer.choice["logprobs"]["content"]]


async def test_the_model_sees_what_llama_cpp_shows_it(
    seeing: Engine, models: Path, projector: Path
) -> None:
    """What follows is as likely as with llama.cpp's own evaluation, with one image and with two."""
    reference = Reference(models / "quick.gguf", projector)
    mark = reference.mark()
    for files in ([noise(1)], [noise(2), noise(3, size=(90, 30), form="JPEG")]):
        parts = [one for file in files for one in ("What is this?", file)]
        answer = await look(seeing, *parts, logprobs=True)

        prompt = _prompt(*["What is this?", mark] * len(files))
        n_prompt, expected = reference.answer(prompt, files, 24)
        assert _logprobs(answer) == pytest.approx(expected, abs=1e-3)
        assert answer.usage["prompt_tokens"] == n_prompt


async def test_a_model_that_reads_images_in_one_piece(tmp_path: Path) -> None:
    """Gemma 3's kind: each position of an image sees all of them. There are marks round the image."""
    skip_without_library()
    model = build_gemma(tmp_path / "gemma.gguf")
    projector = build_projector(tmp_path / "mmproj.gguf", side=64, is_gemma=True)
    reference = Reference(model, projector)
    files = [noise(4), noise(5)]
    prompt = _prompt("Two:", *[reference.mark()] * 2)
    n_prompt, expected = reference.answer(prompt, files, 24)
    assert reference.answer(prompt, files[::-1], 24)[1] != pytest.approx(expected, abs=0.1)
    env = {"LLAMA_SERVER_N_CTX": "512", "LLAMA_SERVER_MMPROJ": str(projector)}
    with Engine(tmp_path / "engine", model, env=env) as engine:
        engine.start()
        beside = asyncio.create_task(look(engine, "A story", max_tokens=300))
        answer = await look(engine, "Two:", *files, logprobs=True)
        await beside
    assert _logprobs(answer) == pytest.approx(expected, abs=1e-2)
    assert answer.usage["prompt_tokens"] == n_prompt


async def test_another_image_gives_another_answer(seeing: Engine) -> None:
    """And the same one the same, from the prefix that was evaluated before."""
    first = await look(seeing, "Look:", noise(10))
    other = await look(seeing, "Look:", noise(11))
    again = await look(seeing, "Look:", noise(10))

    assert first.content == again.content != other.content
    assert other.cached_tokens < N_TOKENS
    assert again.cached_tokens == again.usage["prompt_tokens"] - 1 > N_TOKENS


async def test_a_conversation_goes_on_behind_an_image(seeing: Engine) -> None:
    """Its next request reuses the image."""
    asked = shown("Look:", noise(20))
    first = await seeing.post(CHAT, {"messages": asked, **GREEDY}, headers=ALICE)
    said = {"role": "assistant", "content": first.content}
    more = {"role": "user", "content": "And now?"}
    second = await seeing.post(CHAT, {"messages": [*asked, said, more], **GREEDY}, headers=ALICE)

    assert second.cached_tokens >= first.usage["prompt_tokens"]


async def test_no_user_is_given_what_another_has_shown(seeing: Engine) -> None:
    await look(seeing, noise(30), "Look", user="alice")
    other = await look(seeing, noise(30), "Look", user="bob")
    assert other.cached_tokens == 0


async def test_an_image_fills_the_context_like_text(seeing: Engine) -> None:
    """One that does not fit is refused, and a response ends where the context does."""
    too_much = await look(seeing, *[noise(number) for number in range(4)])
    full = await look(seeing, *[noise(number) for number in range(3)], max_tokens=500)

    assert (too_much.status, too_much.error["code"]) == (400, "context_length_exceeded")
    assert full.usage["total_tokens"] == 512
    assert full.choice["finish_reason"] == "length"


async def test_several_answers_are_streamed(seeing: Engine) -> None:
    """Each of them saw the image."""
    messages = shown("Look:", noise(13))
    asked = {"n": 2, "temperature": 0, "repeat_penalty": 1.0, "max_tokens": 8}
    whole = await seeing.chat(messages=messages, **asked)
    streamed = await seeing.stream(messages=messages, **asked)

    first, second = (one["message"]["content"] for one in whole.json["choices"])
    assert first == second
    assert len(streamed.finish_reasons) == 2
    assert sorted(streamed.streamed) == sorted(first + second)


async def test_every_api_takes_images(seeing: Engine) -> None:
    """/v1/responses and /v1/messages say the same as a chat, and count the same."""
    file = noise(40)
    chat = await look(seeing, "Look:", file, max_tokens=8)
    said = {"temperature": 0, "repeat_penalty": 1.0}
    image = {"type": "input_image", "image_url": data_url(file), "detail": "auto"}
    content = [{"type": "input_text", "text": "Look:"}, image]
    responses = await seeing.post(
        "/v1/responses",
        {"input": [{"role": "user", "content": content}], "max_output_tokens": 8, **said},
    )
    source = {"type": "base64", "media_type": "image/png", "data": data_url(file).partition(",")[2]}
    blocks = [{"type": "text", "text": "Look:"}, {"type": "image", "source": source}]
    asked = {"messages": [{"role": "user", "content": blocks}], "model": "quick"}
    messages = await seeing.post("/v1/messages", {**asked, "max_tokens": 8, **said})
    counted = await seeing.post("/v1/messages/count_tokens", asked)

    assert responses.json["output"][0]["content"][0]["text"] == chat.content
    assert messages.json["content"][0]["text"] == chat.content
    n_prompt = chat.usage["prompt_tokens"]
    assert responses.json["usage"]["input_tokens"] == n_prompt
    assert counted.json["input_tokens"] == n_prompt


async def test_streams_beside_images_go_on(seeing: Engine) -> None:
    """Seven texts give what they give alone while images are read, and the images what they do: but for
    the last digits of the probabilities, which depend on who else is evaluated in the same step."""
    more: dict[str, Any] = {"max_tokens": 60, "logprobs": True}
    texts = [f"Story {number}" for number in range(7)]
    alone = [await look(seeing, text, **more) for text in texts]
    seen = [await look(seeing, noise(number), **more) for number in (50, 51)]

    answers = await asyncio.gather(
        *[look(seeing, text, user=text, **more) for text in texts],
        *[look(seeing, noise(number), user="viewer", **more) for number in (50, 51)],
    )
    for answer, expected in zip(answers, [*alone, *seen], strict=True):
        assert _logprobs(answer) == pytest.approx(_logprobs(expected), abs=1e-2)


async def test_a_line_of_a_batch_with_an_image_is_paused_and_goes_on(
    models: Path, projector: Path, tmp_path: Path
) -> None:
    """With one slot: what others evaluate meanwhile changes nothing of its answer but the last digits of
    its probabilities."""
    env = {
        "LLAMA_SERVER_N_CTX": "512",
        "LLAMA_SERVER_PARALLEL": "1",
        "LLAMA_SERVER_MMPROJ": str(projector),
        "LLAMA_SERVER_CACHE_BYTES": "0",
    }
    with Engine(tmp_path, models / "quick.gguf", env=env) as engine:
        engine.start()
        body = {"messages": shown("Look:", noise(60)), **GREEDY, "max_tokens": 100, "logprobs": True}
        alone = await engine.post(CHAT, body)
        line = asyncio.create_task(engine.post(CHAT, body, headers={"X-Llamaserve-Batch": "1"}))
        while not line.done():
            await engine.chat(messages=[{"role": "user", "content": "quick"}], max_tokens=4)
        assert _logprobs(line.result()) == pytest.approx(_logprobs(alone), abs=1e-2)


async def test_a_client_that_leaves_harms_nobody(seeing: Engine) -> None:
    """Whether its image is being decoded, encoded or evaluated."""
    for patience_s in (0.05, 0.3, 0.6, 0.9):
        parts = [noise(70 + number, size=(900, 900)) for number in range(3)]
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await look(seeing, *parts, max_tokens=500)
    assert (await look(seeing, noise(10))).status == 200


async def test_a_user_s_many_images_hold_up_nobody_else_s(seeing: Engine) -> None:
    """Large ones in many requests, being decoded: another user's image does not wait for all of them."""
    large = bomb(5000, 4900)
    greedy = [
        asyncio.create_task(look(seeing, *[large] * 2, user="greedy", max_tokens=1)) for _ in range(24)
    ]

    async def have_come() -> bool:
        return await seeing.metric("llama_requests_running") + sum(task.done() for task in greedy) > 24

    await until(have_come, "all of them to have come")
    other = await look(seeing, noise(3), user="other", max_tokens=1)
    assert other.status == 200
    assert sum(task.done() for task in greedy) <= 8
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)
