"""Finds problems of this installation and shows how to fix them: `./console.sh doctor`.

Owns the checks and the form of their findings. Leaves the facts to the rooms that know them (config,
models, machine, supervisor, the database's front door). Each module has the checks of one group;
`examination.py` runs all of them. Front door: `python -m runtime.doctor`.
"""
