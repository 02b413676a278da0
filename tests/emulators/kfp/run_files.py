"""The names of the files that the server and the process that executes a run share, besides those of `RunFolder`."""

CACHE = "cache"
"""A folder beside the runs'."""
EVENTS = "events.jsonl"
SPEC = "pipeline.json"
