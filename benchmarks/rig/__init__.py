"""What benchmarks stand on: processes that can be measured, simulated lines, and the bare references beside them."""
