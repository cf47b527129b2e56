"""Batches from the command line: submits a file of prompts, shows its progress, fetches the results.

Needs nothing but Python 3.11: this directory alone can be copied to another machine, where
`python -m batch` in the directory above runs it.
"""
