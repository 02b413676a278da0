"""Migrations of the ledger, in the order of their names."""
