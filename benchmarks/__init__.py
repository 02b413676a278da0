"""What the README's figures come from: `make bench`. Whole processes, real files, medians."""
