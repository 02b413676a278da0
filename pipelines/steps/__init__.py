"""The steps of the training pipeline, one module each, from files to files; KFP's components only call these."""
