"""The engine: panel → weights → decide() → orders. Pure functions of prices, state and parameters."""
