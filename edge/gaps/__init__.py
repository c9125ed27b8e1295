"""The gap ledger: every stretch without trustworthy data, with its cause and what it may hide."""
