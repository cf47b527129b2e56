"""What runs: the installation, the supervised processes and the guarded model server."""
