"""The strategies: BaseStrategy for hand-written ones, SpecStrategy for YAML files."""
