"""Tests of runtime/shell/."""
