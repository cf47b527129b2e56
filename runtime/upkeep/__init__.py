"""What is done to an appliance as a whole: `backup`, `restore` and `service` (runtime/commands/upkeep/).

Owns the form of a backup file and of the systemd unit. Leaves processes to runtime/supervisor/ and the
database's programs to runtime/postgres/. Front doors: `archive` and `unit`.
"""
