"""A declarative, config-driven runner of live trading strategies on Interactive Brokers."""

__version__ = "0.1.0"
