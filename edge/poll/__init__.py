"""When to ask whom: due times, budgets, one task per endpoint. What an answer means is decided elsewhere."""
