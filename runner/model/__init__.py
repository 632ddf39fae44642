"""Values only: instruments, bars, orders, events, money, clock, sessions. Nothing here does I/O."""
