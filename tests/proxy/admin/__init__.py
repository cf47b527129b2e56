"""Tests of proxy/admin/; what it does as a program is tested in tests/bin/."""
