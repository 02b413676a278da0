"""`trainer-daemon drill`: a user's own configuration goes through kills and faults, on a throw-away workspace."""
