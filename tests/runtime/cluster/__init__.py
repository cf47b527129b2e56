"""Tests of runtime/cluster/."""
