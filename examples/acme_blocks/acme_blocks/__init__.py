"""Blocks and hooks of one's own for the strategy runner."""
