"""The user command (`bin/user_management_cli.py`), and what the console needs of users.

Owns the command line, its output and the audit's report. Leaves to identity/ what is done to users and
keys, and to records/ what was used. Needs psycopg, libpass and python-dotenv only, so that it works on
a machine without the appliance.

Front door: `cli.main`; for runtime/ only `appliance`.
"""
