"""The vendors the hub ships with: one folder each; they know the hub and never each other."""
