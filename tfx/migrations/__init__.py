"""Migrations of the metadata schema (Alembic); `versions/` has one file for each revision."""
