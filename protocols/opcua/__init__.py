"""OPC UA by subscription. asyncua is imported only by `client`, and `client` only when a device needs it (28 MiB)."""
