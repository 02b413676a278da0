"""Pipelines executed by `kfp.local` in child processes; empty on purpose, since every child imports it."""
