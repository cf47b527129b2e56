"""Tests of proxy/dashboard/console/."""
