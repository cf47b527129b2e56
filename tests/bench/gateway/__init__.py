"""What a gateway costs a request: ours beside others, on one machine in one run. See scenarios.py."""
