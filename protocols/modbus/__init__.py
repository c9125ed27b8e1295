"""Modbus: addresses and plans (pure), the client that carries them, the compiled decode."""
