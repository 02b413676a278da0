"""What a decision about a candidate rests on: differences to the champion and how sure they are, slices, drift, leaks.

Pure functions of arrays and frames; nothing here reads a file, asks a registry or knows of thresholds.
"""
