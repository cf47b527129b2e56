"""tests/runtime/engine/stock."""
