"""Tests of runtime/machine/."""
