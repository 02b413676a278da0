"""What the daemon answers over HTTP: health, metrics and the status page. Read-only; nothing here can change anything."""
