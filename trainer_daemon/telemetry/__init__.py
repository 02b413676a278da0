"""What the daemon tells about itself; nothing here decides or reads the outside world."""
