"""A small client of the API: asks for the model's name and streams answers.

It is blocking, so that Ctrl-C ends a wait at any point (KeyboardInterrupt passes through). Leaving
`Client.answer` closes the connection, which ends the request.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, str]

_CONNECT_S = 5.0
_SILENCE_S = 900.0
"""Longer than the proxy's default, so that the proxy gives up first and sends the reason."""
_BODY_BYTES = 2**20


class ChatError(Exception):
    """There is no answer, or only its beginning. The text is the reason, ready to be shown."""


class NotReachableError(ChatError):
    """Nothing listens at the URL."""


class RefusedError(ChatError):
    """The API answered with an error."""

    def __init__(self, status: int, code: str, message: str, retry_after: str = "") -> None:
        # The proxy's own messages contain it already.
        wait = f" (try again in {retry_after} s)" if retry_after and "again in" not in message else ""
        super().__init__(f"{message}{wait}")
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Client:
    """The API's URL and the key for it.

    If `tls_cert` is set, only that certificate is trusted, whatever host it names.
    """

    url: str
    key: str = field(repr=False)
    tls_cert: Path | None = None

    def model(self) -> str:
        """The id of the model that is served.

        Raises:
            ChatError: there is no answer, or the key is refused.
        """
        with self._request("GET", "/v1/models") as response:
            try:
                return str(json.loads(response.read(_BODY_BYTES))["data"][0]["id"])
            except (ValueError, LookupError, TypeError) as error:
                raise ChatError(f"{self.url}/v1/models does not answer like the API") from error

    def answer(self, model: str, messages: list[Message]) -> Generator[tuple[str, str]]:
        """The pieces of an answer: `("text", PIECE)`, or `("comment", TEXT)` while the request waits.

        Raises:
            ChatError: there is no answer, or it was interrupted.
        """
        body = {"model": model, "messages": messages, "stream": True}
        with self._request("POST", "/v1/chat/completions", body) as response:
            for line in response:
                text = line.decode("utf-8", "replace").strip()
                if text.startswith(":"):
                    yield "comment", text[1:].strip()
                elif text.startswith("data:"):
                    data = text.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    yield "text", _piece(data)
        raise ChatError("the answer was interrupted")

    @contextmanager
    def _request(
        self, method: str, path: str, body: object = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            self._connect(connection)
            headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            if body is not None:
                headers["Content-Type"] = "application/json"
            data = None if body is None else json.dumps(body).encode()
            prefix = urlsplit(self.url).path.rstrip("/")
            connection.request(method, prefix + path, data, headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _refusal(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise ChatError(f"the connection was interrupted ({_reason(error)})") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=_CONNECT_S)
        return http.client.HTTPSConnection(host, port, timeout=_CONNECT_S, context=self._trust())

    def _trust(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_cert)
        except OSError as error:
            raise ChatError(f"LLAMA_PROXY_TLS_CERT={self.tls_cert}: {_reason(error)}") from error
        if self.tls_cert is not None:
            context.check_hostname = False
            # Otherwise a certificate that is signed by another one would not be accepted as its own
            # trust anchor, nor, since Python 3.13, a plain self-signed one.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise ChatError(f"{self.url}: {_reason(error)}") from error
        except OSError as error:
            raise NotReachableError(f"{self.url} cannot be reached: {_reason(error)}") from error
        connection.sock.settimeout(_SILENCE_S)


def _piece(data: str) -> str:
    """The text in an event of the stream.

    Raises:
        ChatError: the event is an error, or has another form.
    """
    try:
        event: Any = json.loads(data)
        if "error" in event:
            raise ChatError(f"the answer was interrupted: {event['error']['message']}")
        choices = event["choices"]
        return str(choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ChatError("the answer has an unknown form") from error


def _refusal(response: http.client.HTTPResponse) -> RefusedError:
    try:
        error = json.loads(response.read(_BODY_BYTES))["error"]
        code, message = str(error.get("code") or ""), str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        code, message = "", f"the server answers {response.status} {response.reason}"
    return RefusedError(response.status, code, message, response.getheader("retry-after", ""))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
