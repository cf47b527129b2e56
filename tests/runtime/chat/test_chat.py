"""`console.sh chat`: a conversation in the terminal, or one question from standard input."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from runtime.chat.client import ChatError, Client, NotReachableError, RefusedError
from runtime.chat.session import Session
from runtime.plain_text import harmless
from tests.support.appliance import Appliance
from tests.support.local_user import mode
from tests.support.process import free_port
from tests.support.terminal import END, INTERRUPT, Terminal
from tests.support.upstream import Behaviour, FakeUpstream, events, fake_upstream
from tests.support.wait import wait_until

QUESTION = "Say hello in one sentence."


def ask(
    appliance: Appliance, *arguments: str, text: str = QUESTION, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Ask a question on standard input."""
    return subprocess.run(
        [appliance.root / "console.sh", "chat", *arguments],
        env=appliance.environment | environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def key_states(appliance: Appliance) -> list[str]:
    user = json.loads(appliance.cli("show-user", "--username", "console", "--json"))
    return [key["state"] for key in user["keys"]]


def is_refused(appliance: Appliance, key: str) -> bool:
    """Whether the proxy refuses the key now."""
    try:
        Client(url=appliance.proxy_url, key=key).model()
    except RefusedError:
        return True
    return False


def test_the_first_question_needs_no_user_and_no_key(running: Appliance) -> None:
    """Only the answer is on stdout. The key that is created is readable only for its owner, kept, and
    used again."""
    done = ask(running)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 20
    kept = running.root / "runtime/data/console.key"
    key = kept.read_text()
    assert mode(kept) == 0o600
    assert key.strip() not in done.stdout

    running.cli("revoke-key", "--username", "console", "--key", key[4:16])
    wait_until(lambda: is_refused(running, key.strip()), "the proxy to know that the key is revoked")
    with Terminal([running.root / "console.sh", "chat"], env=running.environment) as terminal:
        terminal.until("> ")
        assert kept.read_text() != key, "one that works no more is replaced"
        assert key_states(running) == ["revoked", "active"]
        terminal.press(END)
        assert terminal.wait() == 0
    kept.chmod(0o644)
    with Terminal([running.root / "console.sh", "chat"], env=running.environment) as terminal:
        terminal.until("> ")
        terminal.press("/exit\n")
        assert terminal.wait() == 0
    assert mode(kept) == 0o600, "one that others could read is no secret any more"


def test_a_key_of_ones_own_is_used_and_a_wrong_one_refused(running: Appliance, directory: Path) -> None:
    """A key from the environment or a file is never replaced by the console's own, and never shown."""
    key = running.cli("create-user", "--username", "chatter", "--quiet")
    file = directory / "key"
    file.write_text(f"{key}\n")
    for arguments, environment in (([], {"LLAMASERVE_API_KEY": key}), (["--key-file", str(file)], {})):
        with Terminal(
            [running.root / "console.sh", "chat", *arguments], env=running.environment | environment
        ) as terminal:
            terminal.until("> ")
            terminal.press(END)
            assert terminal.wait() == 0
            assert key not in terminal.text
    wrong = f"{key[:-1]}{'a' if key[-1] != 'a' else 'b'}"
    done = ask(running, LLAMASERVE_API_KEY=wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Incorrect API key" in done.stderr
    assert wrong not in done.stderr

    def used_at() -> Any:
        users = {row["username"]: row for row in json.loads(running.cli("list-users", "--json"))}
        return users["chatter"]["keys"][0]["last_used_at"]

    wait_until(used_at, "the key to be shown as used")
    done = ask(running, "--key-file", str(directory / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file" in done.stderr
    assert ask(running, key).returncode == 2, "a command line is no place for a key"


def stop_an_answer(terminal: Terminal, place: int) -> int:
    """Ask, and press Ctrl-C at the beginning of the answer; the place behind the prompt after it.

    On a busy machine the answer may be at its end by then, and the prompt gets the Ctrl-C.
    """
    for _ in range(5):
        terminal.press("Tell me a story\n")
        # The beginning of the answer, behind what was typed.
        place = terminal.until("\n", after=place)
        terminal.until_more(after=place)
        terminal.press(INTERRUPT)
        shown = terminal.until_one_of("(stopped)", "Press Ctrl-C once more", after=place)
        place = terminal.until("> ", after=terminal.until(shown, after=place))
        if shown == "(stopped)":
            return place
    raise AssertionError("no answer was stopped")


def test_a_conversation_in_the_terminal(running: Appliance) -> None:
    """Ctrl-C stops an answer but not the program; pressed twice at the prompt it leaves."""
    with Terminal([running.root / "console.sh", "chat"], env=running.environment) as terminal:
        place = terminal.until("> ")
        assert "slow.gguf" in terminal.text
        for _ in range(2):
            place = stop_an_answer(terminal, place)
        terminal.press("/help\n")
        place = terminal.until("/system TEXT", after=place)
        terminal.press("/nonsense\n")
        place = terminal.until("There is no /nonsense", after=place)
        terminal.press("/new\n")
        place = terminal.until("A new conversation", after=place)
        place = terminal.until("> ", after=place)
        terminal.press("half a line" + INTERRUPT)
        place = terminal.until("Press Ctrl-C once more", after=place)
        place = terminal.until("> ", after=place)
        terminal.press(INTERRUPT)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.text


@pytest.fixture(scope="module")
def stopped() -> Any:
    """A checkout in which nothing is running, without a proxy."""
    with Appliance(model=False, LLAMA_PROXY_ENABLED="0") as appliance:
        yield appliance


def test_where_nothing_runs_it_says_how_to_start(stopped: Appliance) -> None:
    """On stderr, with exit status 1; also if there is no question."""
    done = ask(stopped)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr
    assert "./console.sh start" in done.stderr


async def asked(upstream: FakeUpstream, appliance: Appliance, text: str = QUESTION) -> Any:
    """Ask a fake engine, without a proxy."""
    environment = {"LLAMA_SERVER_BACKEND_URL": upstream.url}
    return await asyncio.to_thread(ask, appliance, text=text, **environment)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as engine:
        yield engine


def behaving(answer: Callable[[web.Request], Any]) -> Behaviour:
    """A fake engine that lists its model and gives these answers."""

    async def behave(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": "fake"}]})
        response: web.StreamResponse = await answer(request)
        return response

    return behave


async def test_control_characters_do_not_reach_the_terminal(
    upstream: FakeUpstream, stopped: Appliance
) -> None:
    """Title, colours and clipboard are not changed; newlines and tabs are printed."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events("a\x1b]0;title\x07b", "\x9b31mc\r\n\td\u0000", "e\x7f\x08é😀"):
            await response.write(event)
        return response

    upstream.behaviour = behaving(answer)
    done = await asked(upstream, stopped)
    assert (done.returncode, done.stdout) == (0, "a]0;titleb31mc\n\tdeé😀\n")
    body = json.loads(upstream.received[-1].body)
    assert body["messages"] == [{"role": "user", "content": QUESTION}]
    assert body["model"] == "fake"


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (
            429,
            {"retry-after": "7"},
            {"message": "Slow down.", "code": "x"},
            "Slow down. (try again in 7 s)",
        ),
        (503, {}, {"message": "The model server is starting. Please try again in 2s."}, "again in 2s"),
        (401, {}, {"message": "Incorrect API key \x1b[31m"}, "Incorrect API key [31m"),
        (500, {}, None, "the server answers 500"),
    ],
)
async def test_an_error_is_told_on_stderr(
    upstream: FakeUpstream,
    stopped: Appliance,
    status: int,
    headers: dict[str, str],
    body: Any,
    message: str,
) -> None:
    """The server's own message, with the time to wait; exit status 1, nothing on stdout."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body and {"error": body}, status=status, headers=headers)

    upstream.behaviour = behaving(answer)
    done = await asked(upstream, stopped)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_answer_that_breaks_off_is_told(upstream: FakeUpstream) -> None:
    """An interrupted connection or an error event is reported; the beginning of the answer is
    remembered."""

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in (events("one")[1], b'data: {"error": {"message": "It was ended."}}\n\n'):
            await response.write(event)
        return response

    session = Session(client=Client(url=upstream.url, key=""), model="fake")
    upstream.behaviour = behaving(upstream.stream_and_drop)
    with pytest.raises(ChatError, match="was interrupted"):
        await asyncio.to_thread(session.ask, "first")
    assert [message["content"] for message in session.history] == ["first", "one"]
    upstream.behaviour = behaving(break_off)
    with pytest.raises(ChatError, match="was interrupted: It was ended"):
        await asyncio.to_thread(session.ask, "second")

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "No."}}, status=400)

    upstream.behaviour = behaving(refuse)
    with pytest.raises(RefusedError, match=r"No\."):
        await asyncio.to_thread(session.ask, "third")
    assert [message["content"] for message in session.history] == ["first", "one", "second", "one"]


async def test_a_conversation_goes_on_with_the_model_that_came(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a switch the old name is unknown: the question is sent to the new model, and a message
    says so."""

    async def switched(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": "new.gguf"}]})
        if b"old.gguf" in upstream.received[-1].body:
            error = {"message": "There is no such model.", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        return await upstream.stream(request)

    upstream.behaviour = switched
    session = Session(client=Client(url=upstream.url, key=""), model="old.gguf")
    await asyncio.to_thread(session.ask, "first")
    assert "new.gguf is served now" in capsys.readouterr().err
    assert [message["content"] for message in session.history] == ["first", "onetwo"]


async def test_what_was_said_goes_with_the_next_question(upstream: FakeUpstream) -> None:
    """Questions and answers are sent again, after the instructions; /new forgets the conversation but
    not the instructions."""
    upstream.behaviour = behaving(upstream.stream)
    session = Session(client=Client(url=upstream.url, key="k"), model="fake")
    assert session.command("/system Be brief.")
    for question in ("first", "second"):
        await asyncio.to_thread(session.ask, question)
    sent = json.loads(upstream.received[-1].body)["messages"]
    assert [(message["role"], message["content"]) for message in sent] == [
        ("system", "Be brief."),
        ("user", "first"),
        ("assistant", "onetwo"),
        ("user", "second"),
    ]
    assert upstream.received[-1].headers["authorization"] == "Bearer k"
    assert session.command("/new")
    await asyncio.to_thread(session.ask, "third")
    sent = json.loads(upstream.received[-1].body)["messages"]
    assert [message["content"] for message in sent] == ["Be brief.", "third"]
    assert not session.command("/exit")


async def test_only_the_proxys_own_certificate_is_trusted(tmp_path: Path) -> None:
    """Whatever host it names. Another certificate is refused before the key is sent."""
    ours, other = (trustme.CA().issue_cert("chat.example.org") for _ in range(2))
    ours.cert_chain_pems[0].write_to_path(tmp_path / "ours.pem")
    other.cert_chain_pems[0].write_to_path(tmp_path / "other.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.configure_cert(context)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        url = f"https://127.0.0.1:{port}"
        trusting = Client(url=url, key="k", tls_cert=tmp_path / "ours.pem")
        assert await asyncio.to_thread(trusting.model) == "m"
        wary = Client(url=url, key="k", tls_cert=tmp_path / "other.pem")
        with pytest.raises(ChatError, match="certificate"):
            await asyncio.to_thread(wary.model)
    finally:
        await runner.cleanup()


def test_a_server_that_is_not_there_is_its_own_error() -> None:
    """So that the message can say how to start it."""
    with pytest.raises(NotReachableError):
        Client(url=f"http://127.0.0.1:{free_port()}", key="").model()


def test_lone_surrogates_are_replaced() -> None:
    """They cannot be encoded."""
    assert harmless("a\ud800b") == "a?b"
