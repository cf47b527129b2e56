"""Tests of runtime/commands/."""
