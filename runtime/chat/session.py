"""The conversation: its history, its commands, and the loop that reads the user's lines."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, field

from runtime.chat.client import ChatError, Client, Message, RefusedError
from runtime.chat.terminal import show, tell

HELP = """\
/new           forget the conversation and start a new one
/system TEXT   tell the model how to behave; without TEXT, remove the instructions
/exit          leave (also: Ctrl-D)
Ctrl-C stops an answer; the part that was shown stays in the conversation."""
_LEAVE_HINT = "Press Ctrl-C once more, or Ctrl-D, to leave."


@dataclass(kw_only=True)
class Session:
    """One conversation with one model."""

    client: Client
    model: str
    system: str = ""
    history: list[Message] = field(default_factory=list)

    def ask(self, question: str, *, comments: bool = False) -> None:
        """Show the answer while it is generated, and remember question and answer.

        A question without any answer is forgotten, so that it can be asked again.

        Args:
            question: the user's text.
            comments: show the queue's comments while the request waits.

        Raises:
            ChatError: there is no answer, or only its beginning.
            KeyboardInterrupt: the user stopped the answer.
        """
        try:
            self._put(question, comments=comments)
        except RefusedError as error:
            if error.code != "model_not_found":
                raise
            # The appliance serves another model now.
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
            if answered := "".join(pieces):
                show("" if answered.endswith("\n") else "\n")
                self.history += [asked, {"role": "assistant", "content": answered}]

    def command(self, line: str) -> bool:
        """Run a command, a line that begins with `/`. Returns False to leave."""
        name, _, rest = line.partition(" ")
        match name:
            case "/exit" | "/quit" | "/bye":
                return False
            case "/new":
                self.history.clear()
                tell("A new conversation.")
            case "/system":
                self.system = rest.strip()
                tell("Instructions set." if self.system else "Instructions removed.")
            case "/help":
                tell(HELP)
            case _:
                tell(f"There is no {name}; /help lists the commands. Put a blank before it to send it.")
        return True


def converse(session: Session) -> None:
    """Read lines from the terminal and answer them until the user leaves."""
    tell(f"{session.model}. Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands.")
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
        return "\n  /new starts a new conversation"
    if error.status in (401, 403):
        return "\n  leave and start ./console.sh chat again"
    return ""


def answer_input(session: Session) -> None:
    """Read one question from stdin and print only the answer.

    Raises:
        ChatError: there is no question, or no complete answer.
    """
    question = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    if not question:
        raise ChatError("standard input contains no question")
    session.ask(question)
