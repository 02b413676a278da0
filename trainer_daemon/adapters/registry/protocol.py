"""What both ends of the worker's pipes agree on.

A request is a line `{"operation": …, "arguments": {…}}`, the first one being `connect`; its reply is a line with one of
`{"result": …}`, `{"temporary": sentence}` and `{"permanent": sentence}`.
"""

IDLE_EXIT = 75
"""Exit code that says: idle for long, and no request that may have arrived meanwhile was begun."""
EVALUATION = "evaluation.json"
REPORT = "report.html"
SCHEMA = "schema.json"
