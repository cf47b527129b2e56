"""Images in chats, with a projector (LLAMA_SERVER_MMPROJ) beside the model: llama.cpp's mtmd.

Owns what a request may send (`sent.py`), decoding it in a process of its own (`decoding.py`), the
projector (`projector.py`), and the embeddings that are kept for the same image sent again. Front door:
`service.Images`. The scheduler sees `generation/pictures.py` only.
"""


class ProjectorError(Exception):
    """The projector cannot be used. The text says why."""


class UnreadableError(Exception):
    """The projector makes nothing of an image."""
