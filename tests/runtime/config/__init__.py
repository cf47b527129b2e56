"""tests/runtime/config."""
