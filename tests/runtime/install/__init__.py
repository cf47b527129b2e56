"""Tests of runtime/install/."""
