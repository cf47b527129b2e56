"""Tests of proxy/dashboard/."""
