"""runtime/engine/watchdog."""
