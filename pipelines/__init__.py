"""The training pipeline: plain functions that know neither KFP nor the daemon, and the thin KFP modules that call them."""
