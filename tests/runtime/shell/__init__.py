"""tests/runtime/shell."""
