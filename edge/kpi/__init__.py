"""From ledger rows to figures: ISO 22400, OEE, losses. Pure functions of integers."""
