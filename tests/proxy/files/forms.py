"""Upload forms as clients make them, and as none should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st

# RFC 2046, section 5.1.1: the characters of a boundary, of which a blank may not be the last.
_PLAIN = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANY = _PLAIN + "'()+_,-./:=? "
Draw = Callable[[st.SearchStrategy[object]], object]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A field of a form; one with a filename is a file."""

    name: str
    content: bytes
    filename: str | None = None
    header: str = "Content-Disposition"
    more: str = ""
    """Other headers, each with its end of line."""

    def text(self) -> bytes:
        """As it stands in the form."""
        named = "" if self.filename is None else f'; filename="{self.filename}"'
        head = f'{self.more}{self.header}: form-data; name="{self.name}"{named}\r\n\r\n'
        return head.encode() + self.content


@dataclass(frozen=True, kw_only=True)
class Form:
    """A body of multipart/form-data, and its header."""

    boundary: str
    parts: tuple[Part, ...]

    @property
    def content_type(self) -> str:
        return f'multipart/form-data; boundary="{self.boundary}"'

    @property
    def body(self) -> bytes:
        """Without the end of line that may come after the last boundary."""
        mark = b"--" + self.boundary.encode()
        return b"".join(mark + b"\r\n" + part.text() + b"\r\n" for part in self.parts) + mark + b"--"

    @property
    def is_right(self) -> bool:
        """Whether it has what an upload needs, and nothing else."""
        names = sorted(part.name for part in self.parts)
        purposes = {part.content for part in self.parts if part.name == "purpose"}
        return names == ["file", "purpose"] and purposes == {b"batch"}

    @property
    def file(self) -> bytes:
        """The content of its file."""
        (content,) = [part.content for part in self.parts if part.name == "file"]
        return content


@st.composite
def boundaries(draw: st.DrawFn) -> str:
    """Any boundary that the standard allows."""
    return draw(st.text(_ANY, max_size=69)) + draw(st.sampled_from(_PLAIN + "'()+_,-./:=?"))


@st.composite
def contents(draw: st.DrawFn, boundary: str) -> bytes:
    """Bytes, many of which look like a boundary and are none."""
    mark = b"\r\n--" + boundary.encode()
    piece = st.one_of(
        st.binary(max_size=30),
        st.integers(0, len(mark) - 1).map(lambda length: mark[:length]),
        st.sampled_from([b"\r\n", b"\r", b"\n", b"--", mark[1:] + b"\r\n", mark[2:-1]]),
    )
    content = b"".join(draw(st.lists(piece, max_size=8)))
    assume(mark not in b"\r\n" + content + b"\r\n")
    return content


@st.composite
def headers(draw: st.DrawFn, name: str) -> str:
    """A header's name in any case."""
    return "".join(draw(st.sampled_from([one.lower(), one.upper()])) for one in name)


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Forms, of which about half are right: others lack a field, have one twice, or one too many."""
    boundary = draw(boundaries())
    names = ["purpose", "file"]
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(["purpose", "file", "x", "purpose ", ""]), max_size=4))
    more = st.sampled_from(["", "Content-Type: text/plain\r\n", "content-TYPE: x\r\nX-Odd: é\r\n"])
    parts = [
        Part(
            name=name,
            content=b"batch" if name == "purpose" else draw(contents(boundary)),
            filename="lines.jsonl" if name == "file" else None,
            header=draw(headers("Content-Disposition")),
            more=draw(more),
        )
        for name in draw(st.permutations(names))
    ]
    return Form(boundary=boundary, parts=tuple(parts))


@st.composite
def pieces(draw: st.DrawFn, body: bytes) -> list[bytes]:
    """The body cut anywhere."""
    cuts = sorted(draw(st.sets(st.integers(0, len(body)), max_size=12)))
    return [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
