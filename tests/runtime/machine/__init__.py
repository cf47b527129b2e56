"""tests/runtime/machine."""
