"""Tests of runtime/engine/watchdog/."""
