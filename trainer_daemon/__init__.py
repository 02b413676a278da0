"""Continuous-training daemon: drops in, evaluated champions out, exactly once."""
