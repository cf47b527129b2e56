"""One script for each client that is a program: runs it as a user would, prints what worked."""
