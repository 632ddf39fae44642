"""The journal, which is the truth, and ArcticDB, which is the user's copy of it."""
