"""Requests to the API: which model there is, and answers as they are made.

Blocking, so that Ctrl-C ends a wait at any point (KeyboardInterrupt passes through); leaving
`Client.answer` closes the connection, by which the model is free again.
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
"""Longer than the proxy's own by default: it is the proxy that gives up, and says why."""
_BODY_BYTES = 2**20


class ChatError(Exception):
    """The request has no answer, or only the beginning of one. The text, fit to be shown, says why."""


class NotReachableError(ChatError):
    """Nothing listens there."""


class RefusedError(ChatError):
    """An error of the API's."""

    def __init__(self, status: int, code: str, message: str, retry_after: str = "") -> None:
        # The proxy's own messages say it already.
        wait = f" (try again in {retry_after} s)" if retry_after and "again in" not in message else ""
        super().__init__(f"{message}{wait}")
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where the API is and with which key.

    `tls_cert` is the certificate that the proxy serves: that alone is trusted, whatever host it names.
    """

    url: str
    key: str = field(repr=False)
    tls_cert: Path | None = None

    def model(self) -> str:
        """The id of the model there is.

        Raises:
            ChatError: there is none to be had, or the key is refused.
        """
        with self._request("GET", "/v1/models") as response:
            try:
                return str(json.loads(response.read(_BODY_BYTES))["data"][0]["id"])
            except (ValueError, LookupError, TypeError) as error:
                raise ChatError(f"{self.url}/v1/models does not answer as an API does") from error

    def answer(self, model: str, messages: list[Message]) -> Generator[tuple[str, str]]:
        """What comes of an answer: `("text", PIECE)`, or `("comment", TEXT)` while it waits.

        Raises:
            ChatError: there is none, or it broke off.
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
        raise ChatError("the answer broke off before its end")

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
            raise ChatError(f"the connection broke off ({_reason(error)})") from error
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
            # Else a certificate that another has signed would not do as its own anchor, nor, from
            # Python 3.13 on, a plain self-signed one.
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
        ChatError: it is an error.
    """
    try:
        event: Any = json.loads(data)
        if "error" in event:
            raise ChatError(f"the answer broke off: {event['error']['message']}")
        choices = event["choices"]
        return str(choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ChatError("the answer is not of a form that can be understood") from error


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
