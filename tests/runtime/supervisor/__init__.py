"""tests/runtime/supervisor."""
