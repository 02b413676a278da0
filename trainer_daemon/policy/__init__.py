"""Decisions as pure functions of values: no I/O, no clock, nothing but the standard library."""
