"""Tests of runtime/library/."""
