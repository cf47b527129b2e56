"""Backup, restore, upgrade, uninstall and the systemd unit."""
