"""The one place that builds the real parts and keeps strategies running."""
