"""One script for each library: run in the library's own environment, prints what worked."""
