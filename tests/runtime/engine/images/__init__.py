"""Images in chats, with a small projector beside a small model."""
