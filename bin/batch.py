"""Batches from the command line: submits a file of prompts, shows its progress, fetches the results.

Needs nothing but Python 3.11: this file alone can be copied to another machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

DEFAULT_URL = "http://127.0.0.1:8001/v1"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
ENDED = ("completed", "failed", "expired", "cancelled")
POLL_S = 2.0
TIMEOUT_S = 60.0
PATIENCE_S = 300.0
"""How long a server that does not answer is asked again."""
PIECE_BYTES = 2**18
NUMBERS = ("max_tokens", "temperature", "top_p", "seed", "n")
COLUMNS = ("custom_id", "prompt", "system", "model", *NUMBERS)


class Failure(Exception):
    """What went wrong, as the user is told. `passing`: trying again may help."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Server:
    """The server's API."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The JSON that a call gives. Raises Failure."""
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, data, {"Content-Type": "application/json"}) as response:
            return json.load(response)

    def upload(self, path: Path) -> Any:
        """Upload a file for a batch. Raises Failure."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="lines.jsonl"\r\n'
            "\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()

        def pieces() -> Iterator[bytes]:
            yield head
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
            yield tail

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        }
        with self._open("POST", "/files", pieces(), headers) as response:
            return json.load(response)

    def download(self, file_id: str, to: IO[bytes]) -> None:
        """Write a file's content. Raises Failure."""
        with self._open("GET", f"/files/{file_id}/content", None, {}) as response:
            while piece := response.read(PIECE_BYTES):
                to.write(piece)

    def _open(self, method: str, path: str, data: Any, headers: dict[str, str]) -> Any:
        headers = {**headers, "Authorization": f"Bearer {self._key}"}
        url = self._url + path
        if not url.startswith(("http://", "https://")):
            raise Failure(f"{self._url} is no http:// or https:// URL")
        request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise Failure(_told(error), passing=error.code in (429, 502, 503, 504)) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            text = f"{self._url} cannot be reached: {reason}. Set OPENAI_BASE_URL or give --url."
            raise Failure(text, passing=True) from error


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(PIECE_BYTES))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code} {error.reason}"


def lines_of_csv(path: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The lines of a batch, one for each row. Raises Failure."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        if "prompt" not in names:
            raise Failure(f"{path}: there is no column 'prompt'; columns are {', '.join(COLUMNS)}")
        for name in names:
            if name not in COLUMNS:
                raise Failure(
                    f"{path}: the column {name!r} is unknown; columns are {', '.join(COLUMNS)}"
                )
        for number, row in enumerate(reader, start=1):
            given = {name: value for name, value in row.items() if value and name in COLUMNS}
            yield {
                "custom_id": given.pop("custom_id", str(number)),
                "method": "POST",
                "url": arguments.endpoint,
                "body": _body(given, arguments, f"{path}, row {number}"),
            }


def _body(given: dict[str, Any], arguments: argparse.Namespace, where: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: value
        for name in ("model", "max_tokens")
        if (value := getattr(arguments, name)) is not None
    }
    prompt, system = given.pop("prompt", ""), given.pop("system", arguments.system)
    for name in NUMBERS:
        if name in given:
            try:
                given[name] = json.loads(given[name])
            except ValueError:
                raise Failure(f"{where}: {name} is no number: {given[name]!r}") from None
    if arguments.endpoint == "/v1/chat/completions":
        body["messages"] = [{"role": "system", "content": system}] if system else []
        body["messages"].append({"role": "user", "content": prompt})
    else:
        body["prompt" if arguments.endpoint == "/v1/completions" else "input"] = prompt
    return {**body, **given}


def submit(server: Server, arguments: argparse.Namespace) -> int:
    """Upload a file, create a batch, and wait for it if that is wanted."""
    path: Path = arguments.file
    if not path.is_file():
        raise Failure(f"there is no file {path}")
    with tempfile.TemporaryDirectory() as directory:
        lines = path
        if path.suffix.lower() == ".csv":
            lines = Path(directory) / "lines.jsonl"
            with lines.open("w") as file:
                for line in lines_of_csv(path, arguments):
                    file.write(json.dumps(line) + "\n")
        uploaded = server.upload(lines)
    batch = server.call(
        "POST",
        "/batches",
        {
            "input_file_id": uploaded["id"],
            "endpoint": arguments.endpoint,
            "completion_window": arguments.window,
            "metadata": {"file": path.name[:512]},
        },
    )
    if not arguments.wait:
        print(batch["id"])
        return 0
    print(f"{batch['id']}: {path.name}", file=sys.stderr)
    return wait(server, batch["id"], arguments.output or path.with_suffix(".results.jsonl"))


def wait(server: Server, batch_id: str, output: Path) -> int:
    """Show a batch's progress until it has ended, and fetch its results."""
    failing_since: float | None = None
    began = time.monotonic()
    while True:
        try:
            batch = server.call("GET", f"/batches/{urllib.parse.quote(batch_id)}")
            failing_since = None
        except Failure as failure:
            failing_since = failing_since or time.monotonic()
            if not failure.passing or time.monotonic() - failing_since > PATIENCE_S:
                raise
            time.sleep(POLL_S)
            continue
        _show(batch, time.monotonic() - began)
        if batch["status"] in ENDED:
            break
        time.sleep(POLL_S)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    fetch(server, batch, output)
    return 0 if batch["status"] == "completed" else 1


def _show(batch: dict[str, Any], waited_s: float) -> None:
    """Draw the progress bar; without a terminal, nothing until the end."""
    counts = batch["request_counts"]
    total, done = counts["total"], counts["completed"] + counts["failed"]
    text = batch["waiting"] or batch["status"]
    if sys.stderr.isatty():
        width = 30
        filled = width * done // total if total else 0
        left = ""
        if (
            batch["status"] == "in_progress"
            and done
            and (passed_s := time.time() - batch["in_progress_at"]) > 0
        ):
            left = f", about {_duration(passed_s / done * (total - done))} left"
        bar = "#" * filled + "." * (width - filled)
        print(f"\r\033[K[{bar}] {done}/{total} {text}{left}", end="", file=sys.stderr, flush=True)
    elif batch["status"] in ENDED:
        print(f"{done}/{total} {text} after {_duration(waited_s)}", file=sys.stderr)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def fetch(server: Server, batch: dict[str, Any], output: Path) -> None:
    """Write results, and errors if there are any, to files beside each other."""
    for problem in (batch["errors"] or {}).get("data", []):
        where = f"line {problem['line']}: " if problem["line"] else ""
        print(f"{where}{problem['message']}", file=sys.stderr)
    errors = output.with_suffix(".errors" + output.suffix)
    for file_id, path in ((batch["output_file_id"], output), (batch["error_file_id"], errors)):
        if file_id is not None:
            with path.open("wb") as file:
                server.download(file_id, file)
            print(path)


def show(batch: dict[str, Any]) -> None:
    """A line about a batch."""
    counts = batch["request_counts"]
    name = (batch["metadata"] or {}).get("file", "")
    done = f"{counts['completed'] + counts['failed']}/{counts['total']}"
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(batch["created_at"]))
    print(f"{batch['id']}  {created}  {batch['status']:<11}  {done:>13}  {name}".rstrip())


def run(arguments: argparse.Namespace) -> int:
    """Carry out a command. Raises Failure."""
    if not arguments.key:
        raise Failure("there is no key: set OPENAI_API_KEY, or give --key-file")
    server = Server(arguments.url, arguments.key)
    if arguments.command == "submit":
        return submit(server, arguments)
    if arguments.command == "list":
        for batch in server.call("GET", "/batches?limit=100")["data"]:
            show(batch)
        return 0
    path = f"/batches/{urllib.parse.quote(arguments.id)}"
    output = getattr(arguments, "output", None) or Path(f"{arguments.id}.results.jsonl")
    if arguments.command == "wait":
        return wait(server, arguments.id, output)
    batch = (
        server.call("POST", path + "/cancel")
        if arguments.command == "cancel"
        else server.call("GET", path)
    )
    if arguments.command == "results":
        fetch(server, batch, output)
    else:
        show(batch)
    return 0


def parse(line: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="batch.sh", description="Many prompts in one file.")
    parser.add_argument(
        "--url", default=os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, help="the server"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="a file with your key")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sub = commands.add_parser("submit", help="submit a file: JSONL as OpenAI has it, or CSV")
    sub.add_argument("file", type=Path, help="CSV has the columns " + ", ".join(COLUMNS))
    sub.add_argument("--wait", action="store_true", help="show the progress, then fetch the results")
    sub.add_argument("--output", type=Path, metavar="FILE", help="where results go (FILE.results.jsonl)")
    sub.add_argument("--endpoint", choices=ENDPOINTS, default=ENDPOINTS[0], help="(%(default)s)")
    sub.add_argument("--window", default="24h", help="the deadline, 1h to 14d (%(default)s)")
    sub.add_argument("--model", help="for rows of CSV that name none")
    sub.add_argument("--system", default="", help="a system message, likewise")
    sub.add_argument("--max-tokens", type=int, help="likewise")
    commands.add_parser("list", help="list your batches, the newest first")
    for name, text in (
        ("status", "show a batch"),
        ("wait", "show a batch's progress until it has ended, then fetch its results"),
        ("results", "fetch the results that there are"),
        ("cancel", "cancel a batch"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("id", metavar="ID")
        if name in ("wait", "results"):
            sub.add_argument("--output", type=Path, metavar="FILE")
    arguments = parser.parse_args(line)
    arguments.key = os.environ.get("OPENAI_API_KEY", "")
    if arguments.key_file is not None:
        try:
            arguments.key = arguments.key_file.read_text().strip()
        except OSError as error:
            parser.error(f"{arguments.key_file} cannot be read: {error.strerror}")
    return arguments


def main() -> int:
    """Run, and tell what went wrong."""
    try:
        return run(parse(sys.argv[1:]))
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe batch goes on: batch.sh list shows it.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
