"""Tests of runtime/doctor/."""
