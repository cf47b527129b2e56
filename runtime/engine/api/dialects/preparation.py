"""Prepares the requests of all dialects: as the chat requests that they become."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.engine.api.dialects import messages, responses
from runtime.engine.api.dialects.form import ChatForm, in_terms_of
from runtime.engine.api.preparation import Preparation
from runtime.engine.api.prepared import Prepared


class DialectPreparation:
    """Prepares requests for the model of `preparation`. Every call may take long, like that one's."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation

    def responses(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/responses.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        form = responses.chat_form(body, reads_images=self._preparation.reads_images)
        return self._chat_of(form, responses.CHAT_NAMES)

    def messages(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/messages.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        form = messages.chat_form(body, reads_images=self._preparation.reads_images)
        return self._chat_of(form, messages.CHAT_NAMES)

    def _chat_of(self, form: ChatForm, names: Mapping[str, str]) -> Prepared:
        with in_terms_of(names):  # the format's schema is compiled later: it is told its name
            return self._preparation.chat_of(
                form.chat, form.shape, format_param=names["response_format"]
            )

    def message_tokens(self, body: bytes) -> int:
        """Count the prompt's tokens for a request to /v1/messages/count_tokens.

        Raises:
            Refusal: the request could not be answered; says why.
        """
        chat = messages.counted_form(body, reads_images=self._preparation.reads_images)
        with in_terms_of(messages.CHAT_NAMES):
            return self._preparation.chat_tokens(chat)
