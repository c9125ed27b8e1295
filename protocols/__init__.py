"""Speaks to PLCs. Knows tags and wires, never factories; holds no clock."""
