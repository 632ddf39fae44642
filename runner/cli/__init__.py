"""Commands: one file each. Everything heavy is imported when a command needs it."""
