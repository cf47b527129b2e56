"""Grammars that no compiler comes to an end with, or survives: refused, and nobody else waits."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtime.engine.grammar.compiler import Source
from runtime.engine.grammar.sandbox import Sandbox, SandboxError
from tests.support.client import CHAT, HELLO
from tests.support.engine import Engine
from tests.support.wait import until

ENDLESS = "start: A\nA: " + " & ".join(f"/.*a.{{{number}}}/" for number in range(40))
"""Half a kilobyte that takes hours to compile."""

KNOWN = 'root ::= "known"'


def deep_references() -> dict[str, Any]:
    """A schema that is flat, but for what its references lead to: 3,500 levels."""
    definitions: dict[str, Any] = {"d60": {"type": "string"}}
    for number in range(60):
        schema: dict[str, Any] = {"$ref": f"#/$defs/d{number + 1}"}
        for _ in range(58):
            schema = {"items": schema}
        definitions[f"d{number}"] = schema
    return {"$ref": "#/$defs/d0", "$defs": definitions}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One with a vocabulary of single bytes."""
    made = Sandbox([*(bytes([byte]) for byte in range(256)), b""], [256])
    yield made
    made.close()


def gbnf(text: str) -> Source:
    return Source(text=text, is_converted=False)


def test_what_can_be_compiled_passes(sandbox: Sandbox) -> None:
    """And what cannot is told with the reason."""
    assert sandbox.check(gbnf('root ::= "a"')).error == ""
    assert "regex" in sandbox.check(gbnf("start: /(/")).error
    assert "No 'root' rule" in sandbox.check(gbnf("")).error


def test_a_second_time_nothing_is_compiled(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what passed nor what was refused: there need not even be a compiler."""
    sources = [gbnf('root ::= "a"'), gbnf("start: /(/")]
    first = [sandbox.check(source) for source in sources]
    sandbox.close()
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert [sandbox.check(source) for source in sources] == first
    with pytest.raises(SandboxError):
        sandbox.check(gbnf('root ::= "b"'))


@pytest.mark.parametrize(
    "text", [ENDLESS, 'root ::= "a"' + "\n" * 200_000], ids=["intersections", "newlines"]
)
def test_an_endless_compilation_is_cut_short(sandbox: Sandbox, text: str) -> None:
    """By ending the process that does it, conversion to its form included; the next gets a new one."""
    assert "2 seconds" in sandbox.check(gbnf(text)).error
    assert sandbox.check(gbnf('root ::= "a"')).error == ""


def test_a_question_may_have_less_time(sandbox: Sandbox) -> None:
    """The processor time that it takes is told; next time, with more, it is asked anew."""
    short = sandbox.check(gbnf(ENDLESS), 0.3)
    passed = sandbox.check(gbnf('root ::= "timed"'))

    assert "0.3 seconds" in short.error
    assert short.seconds == 0.3
    assert 0 < passed.seconds < 0.3
    assert sandbox.check(gbnf('root ::= "timed"')).seconds == 0
    assert sandbox.known(gbnf(ENDLESS)) is None


def test_many_open_files_do_not_matter(sandbox: Sandbox) -> None:
    """select() knows the first 1,024 only."""
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull))
        assert sandbox.check(gbnf('root ::= "many"')).error == ""


async def test_references_that_lead_deep_are_refused(quick: Engine) -> None:
    """The compiler overflows its stack with them; in a process of its own."""
    pid = quick.pid
    form = {"type": "json_object", "schema": deep_references()}

    answer = await quick.chat(response_format=form)

    assert answer.status == 400
    assert "too complex" in answer.error["message"]
    assert (await quick.chat(grammar='root ::= "fine"')).content == "fine"
    assert (quick.pid, quick.alive) == (pid, True)


async def test_what_a_client_that_left_asked_for_is_not_compiled(quick: Engine) -> None:
    """Ten that leave at once hold up a grammar that is new for one compilation at the most."""
    bombs = [
        asyncio.create_task(
            quick.post(CHAT, {"messages": HELLO, "grammar": f"{ENDLESS}\n// left {number}"})
        )
        for number in range(10)
    ]

    async def have_arrived() -> bool:
        done = sum(bomb.done() for bomb in bombs)
        return await _running(quick, 10 - done)

    await until(have_arrived, "all to have arrived")
    assert not all(bomb.done() for bomb in bombs)
    for bomb in bombs:
        bomb.cancel()
    await until(lambda: _running(quick, 0), "all to have left")
    answer = await quick.chat(grammar='root ::= "new"')

    assert answer.content == "new"
    assert int(answer.headers["openai-processing-ms"]) < 15_000


async def _running(engine: Engine, number: int) -> bool:
    return await engine.metric("llama_requests_running") == number + 1


async def test_an_endless_grammar_keeps_nobody_else_waiting(quick: Engine) -> None:
    """Three of them at once, and all other requests are answered meanwhile, such with
    a grammar that has been compiled before too."""
    assert (await quick.chat(grammar=KNOWN)).content == "known"
    bombs = [
        asyncio.create_task(quick.post(CHAT, {"messages": HELLO, "grammar": f"{ENDLESS}\n// {number}"}))
        for number in range(3)
    ]
    answered = 0
    while not all(bomb.done() for bomb in bombs):
        async with asyncio.timeout(15):
            assert (await quick.chat(max_tokens=2)).status == 200
            assert (await quick.chat(grammar=KNOWN)).content == "known"
            assert (await quick.post("/extras/tokenize", {"input": "x"})).status == 200
        answered += 1

    assert answered > 5
    assert {(await bomb).status for bomb in bombs} == {400}


async def test_it_ends_with_the_engine(models: Path, tmp_path: Path) -> None:
    """Killed while it compiles: nothing of it is left behind."""
    with Engine(tmp_path, models / "quick.gguf") as engine:
        engine.start()
        assert (await engine.chat(grammar=KNOWN)).content == "known"
        (compiler,) = psutil.Process(engine.pid).children()
        spent_s = compiler.cpu_times().user
        asked = asyncio.create_task(engine.chat(grammar=ENDLESS))

        def has_begun() -> bool:
            try:
                return compiler.cpu_times().user > spent_s + 0.1
            except psutil.NoSuchProcess:  # it was looked at too late: its two seconds are over
                return True

        await until(has_begun, "the compilation to begin")
        assert engine.process is not None
        engine.process.kill()

        await until(lambda: not compiler.is_running(), "the compiler to end")
        await asyncio.gather(asked, return_exceptions=True)
