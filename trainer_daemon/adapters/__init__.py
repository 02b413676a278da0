"""One module per library or service; adapters do I/O, decide nothing and never import one another."""
