"""tests/runtime/library."""
