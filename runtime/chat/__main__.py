"""Runs a conversation: `python -m runtime.chat [--key-file FILE]`.

Exit status: 0; 1 with the reason on stderr; 2 for wrong usage; 130 if the answer to a question from
standard input is interrupted.
"""

from __future__ import annotations

import os
import signal
import sys

from runtime.chat import key as keys
from runtime.chat.client import ChatError, Client, NotReachableError, RefusedError
from runtime.chat.session import Session, answer_input, converse
from runtime.chat.terminal import is_interactive, prepare
from runtime.config import Config, ConfigError, load
from runtime.plain_text import harmless

_MAY_RENEW = ("invalid_api_key", "key_expired")


def main(arguments: list[str]) -> int:
    """Run the conversation until the user leaves."""
    match arguments:
        case []:
            key_file = ""
        case ["--key-file", key_file] if key_file:
            pass
        case _:
            print("usage: ./console.sh chat [--key-file FILE]", file=sys.stderr)
            return 2
    prepare()
    try:
        session = _session(load(), keys.given(os.environ, key_file))
        if is_interactive():
            converse(session)
        else:
            answer_input(session)
    except NotReachableError as error:
        return _fail(str(error), "./console.sh start starts it, ./console.sh doctor finds problems")
    except (ChatError, ConfigError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader has closed the pipe. Python flushes stdout again at its end, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _session(config: Config, given: str) -> Session:
    """A session with a key that works.

    Raises:
        ChatError: the API cannot be reached, or no key works.
    """
    if not config.switch("LLAMA_PROXY_ENABLED"):
        key = given or config.text("LLAMA_SERVER_API_KEY")
        return _opened(Client(url=config.backend_url, key=key))
    tls = config.text("LLAMA_PROXY_TLS_CERT")
    cert = config.path("LLAMA_PROXY_TLS_CERT", "") if tls else None

    def client(key: str) -> Client:
        return Client(url=config.proxy_url, key=key, tls_cert=cert)

    if given:
        return _opened(client(given))
    kept = keys.kept(config)
    try:
        # Try this even without a key, so that no key is created if the proxy cannot be reached.
        return _opened(client(kept))
    except RefusedError as error:
        if (kept and error.code not in _MAY_RENEW) or error.status not in (401, 403):
            raise
    return _opened(client(keys.renewed(config, kept)))


def _opened(client: Client) -> Session:
    """Open a session, which asks the API for the model's name and so checks the key."""
    return Session(client=client, model=client.model())


def _fail(*lines: str) -> int:
    first, *rest = lines
    print(f"error: {harmless(first)}", *rest, sep="\n  ", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
