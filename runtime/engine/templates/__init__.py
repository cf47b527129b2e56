"""The room of chat templates: from the messages of a chat to the text and tokens of a prompt.

Owns the rule of what a message may hold (`messages.py`), the model's templates and the named formats
(`template.py`, `named.py`), what each of them can render (`capabilities.py`), what is done where it
cannot (`fallbacks.py`), and that texts of users never become special tokens (`marks.py`). Knows no
requests: what it gets are plain objects. Front door: `chat_template.ChatTemplate`.
"""
