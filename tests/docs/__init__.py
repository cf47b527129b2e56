"""The documentation: what holds it to the code, and the programs that make parts of it.

`python -m tests.docs.configuration_table` writes the tables of docs/configuration.md, and
`python -m tests.docs.record_terminal` makes docs/terminal.svg from a real session.
"""
