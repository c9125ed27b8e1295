"""The durable store: one SQLite file, one writer thread, points and checkpoint in one transaction."""
