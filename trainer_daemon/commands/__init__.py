"""What the commands of the command line do, one module per command; how they are spelled stands in `trainer_daemon.cli`."""
