"""tests/runtime/install."""
