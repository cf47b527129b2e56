"""The form of an upload, read piece by piece: small fields into memory, the file into a sink.

python-multipart parses; its bounds on headers hold, and these beside them: MAX_PARTS, MAX_FIELD_BYTES.
"""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from proxy.errors import ApiError
from proxy.files import errors

MAX_PARTS = 16
MAX_FIELD_BYTES = 1024
MAX_FILENAME = 255
OVERHEAD_BYTES = 65_536
"""What a form may have beside its file: more than the bounds above let it have."""
FILE = "file"


class UploadForm:
    """Parses one form. Feed it with `feed`, then call `finish`.

    Args:
        content_type: the value of the request's Content-Type header.
        sink: called with each piece of the field `file`.

    Attributes:
        fields: the values of all other fields, by name.
        filename: the file's name, None before its part has begun.

    Raises:
        ApiError: 400, it is no form.
    """

    def __init__(self, content_type: str, sink: Callable[[bytes], object]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise errors.not_multipart()
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._sink = sink
        self._parts = 0
        self._name = ""
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._field = bytearray()
        self._ended = False
        self._error: ApiError | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_header,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except (FormParserError, ValueError) as error:
            raise errors.bad_form() from error

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            ApiError: 400, it is not a valid form.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise errors.bad_form() from error

    def finish(self) -> None:
        """Check that the form is whole, and has a file.

        Raises:
            ApiError: 400.
        """
        if not self._ended:
            raise errors.bad_form()
        if self.filename is None:
            raise errors.missing_field(FILE)

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise errors.bad_form()
        self._disposition = b""
        self._field.clear()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin_content(self) -> None:
        kind, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not self._name:
            raise errors.bad_form()
        if self._name in self.fields or (self._name == FILE and self.filename is not None):
            raise errors.bad_field(self._name, "is given more than once")
        if self._name == FILE:
            self.filename = _filename(options.get(b"filename", b""))

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._sink(data[start:end])
        elif len(self._field) + end - start > MAX_FIELD_BYTES:
            raise errors.bad_field(self._name, f"is longer than {MAX_FIELD_BYTES} bytes")
        else:
            self._field += data[start:end]

    def _end_part(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = self._field.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _filename(given: bytes) -> str:
    """A name that can be shown: the last part of a path, without control characters."""
    text = given.decode("utf-8", "replace").rpartition("/")[2]
    text = "".join(letter if letter.isprintable() else "_" for letter in text)[:MAX_FILENAME]
    return text or "file"
