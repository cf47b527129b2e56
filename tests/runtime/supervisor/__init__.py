"""Tests of runtime/supervisor/."""
