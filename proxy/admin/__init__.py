"""The command line for users, keys and usage: what `bin/user_management_cli.py` runs.

Needs psycopg, libpass and python-dotenv only, so that it works on a machine without the appliance.
"""
