"""What `trainer-daemon doctor` checks; the checks of an orchestrator and of the registry stand beside their adapters."""
