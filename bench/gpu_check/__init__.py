"""What scripts/gpu-check does: parts made of rows, their results, and the table of the goals."""
