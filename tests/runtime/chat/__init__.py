"""tests/runtime/chat."""
