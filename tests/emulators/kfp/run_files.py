"""The names of the files that the server and the process that executes a run share, beside those of `RunFolder`."""

EVENTS = "events.jsonl"
SPEC = "pipeline.json"
