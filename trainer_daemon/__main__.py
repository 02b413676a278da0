"""`python -m trainer_daemon` is the command line."""

from trainer_daemon.cli import main

if __name__ == "__main__":
    main()
