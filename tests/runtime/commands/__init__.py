"""tests/runtime/commands."""
