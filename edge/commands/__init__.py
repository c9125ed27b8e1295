"""Commands that have no room of their own: their arguments, and what they hand over to."""
