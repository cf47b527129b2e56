"""The conversation: what was said, what is said next, and what the commands in it do."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, field

from runtime.chat.client import ChatError, Client, Message, RefusedError
from runtime.chat.terminal import show, tell

HELP = """\
/new           forget what was said and begin anew
/system TEXT   tell the model how to behave; without TEXT, no longer
/exit          leave (Ctrl-D too)
Ctrl-C stops an answer; what there is of it stays in the conversation."""
_LEAVE_HINT = "Ctrl-C once more, or Ctrl-D, leaves."


@dataclass(kw_only=True)
class Session:
    """One conversation with one model."""

    client: Client
    model: str
    system: str = ""
    history: list[Message] = field(default_factory=list)

    def ask(self, question: str, *, comments: bool = False) -> None:
        """Show the answer as it comes, and remember both; `comments` tells while it waits.

        A question without any answer is forgotten, so that it may be put again.

        Raises:
            ChatError: there is no answer, or only a part.
            KeyboardInterrupt: the user stopped it.
        """
        try:
            self._put(question, comments=comments)
        except RefusedError as error:
            if error.code != "model_not_found":
                raise
            # The appliance has been switched to another.
            self.model = self.client.model()
            tell(f"({self.model} is served now)")
            self._put(question, comments=comments)

    def _put(self, question: str, *, comments: bool) -> None:
        system = [{"role": "system", "content": self.system}] if self.system else []
        asked = {"role": "user", "content": question}
        pieces: list[str] = []
        try:
            with closing(self.client.answer(self.model, [*system, *self.history, asked])) as answer:
                for kind, text in answer:
                    if kind == "text":
                        pieces.append(text)
                        show(text)
                    elif comments and text.startswith("queued"):
                        tell(f"({text})")
        finally:
            if said := "".join(pieces):
                show("" if said.endswith("\n") else "\n")
                self.history += [asked, {"role": "assistant", "content": said}]

    def command(self, line: str) -> bool:
        """Do what a line that begins with `/` says; False to leave."""
        word, _, rest = line.partition(" ")
        match word:
            case "/exit" | "/quit" | "/bye":
                return False
            case "/new":
                self.history.clear()
                tell("A new conversation.")
            case "/system":
                self.system = rest.strip()
                tell("Noted." if self.system else "No instructions any more.")
            case "/help":
                tell(HELP)
            case _:
                tell(f"There is no {word}; /help lists the commands. A blank before it sends it.")
        return True


def converse(session: Session) -> None:
    """Read lines from the terminal and answer them until the user leaves."""
    tell(f"{session.model}. Ctrl-C stops an answer, Ctrl-D leaves, /help tells more.")
    interrupted = False
    while True:
        try:
            line = input("> ")
        except EOFError:
            tell("")
            return
        except KeyboardInterrupt:
            tell("" if interrupted else f"\n{_LEAVE_HINT}")
            if interrupted:
                return
            interrupted = True
            continue
        interrupted = False
        if line.startswith("/"):
            if not session.command(line):
                return
        elif line.strip():
            _answer(session, line.strip())


def _answer(session: Session, question: str) -> None:
    try:
        session.ask(question, comments=True)
    except KeyboardInterrupt:
        tell("(stopped)")
    except RefusedError as error:
        tell(f"error: {error}{_remedy(error)}")
    except ChatError as error:
        tell(f"error: {error}")


def _remedy(error: RefusedError) -> str:
    if error.code == "context_length_exceeded":
        return "\n  /new begins a new conversation"
    if error.status in (401, 403):
        return "\n  start ./console.sh chat again"
    return ""


def answer_input(session: Session) -> None:
    """Put what stands on stdin as one question, and print the answer, nothing else.

    Raises:
        ChatError: there is no question, or no whole answer.
    """
    question = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    if not question:
        raise ChatError("there is no question on the standard input")
    session.ask(question)
