"""tests/runtime/postgres."""
