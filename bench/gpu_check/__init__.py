"""Implementation of scripts/gpu-check: parts and their rows, results and the table of the goals."""
