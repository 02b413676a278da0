"""What orchestrators that are elsewhere have in common: pipelines adjusted for them, runs followed on them, what they refuse."""
