"""The commands."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import urllib.parse
from pathlib import Path

from .progress import fetch, show, wait
from .server import Failure, Server
from .table import COLUMNS, lines_of_csv

DEFAULT_URL = "http://127.0.0.1:8001/v1"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


def submit(server: Server, arguments: argparse.Namespace) -> int:
    """Upload a file, create a batch, and wait for it if that is wanted."""
    path: Path = arguments.file
    if not path.is_file():
        raise Failure(f"there is no file {path}")
    with tempfile.TemporaryDirectory() as directory:
        lines = path
        if path.suffix.lower() == ".csv":
            lines = Path(directory) / "lines.jsonl"
            try:
                with lines.open("w") as file:
                    for line in lines_of_csv(path, arguments):
                        file.write(json.dumps(line) + "\n")
            except (UnicodeDecodeError, csv.Error) as error:
                raise Failure(f"{path} cannot be read as CSV in UTF-8: {error}") from error
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
    except (Failure, OSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe batch goes on: batch.sh list shows it.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
