"""Everything that talks to Interactive Brokers: sessions, pacing, the wire crossing, orders, history, live bars."""
