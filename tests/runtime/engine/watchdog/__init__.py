"""tests/runtime/engine/watchdog."""
