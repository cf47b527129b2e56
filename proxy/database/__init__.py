"""Connections to PostgreSQL, the schema, and the trail of changes that its triggers keep.

Owns the migrations in `migrations/` and whether a database is up to date. Leaves queries to the rooms
that need them.

Front door: `pool.connect` and `pool.deadline`; `schema.migrate`, `schema.check_schema` and
`schema.DATABASE_ERRORS`.
"""
