"""The books: positions, cash, P&L and currencies per strategy, written behind to ArcticDB."""
