"""Benchmarks: each measures one promise beside a reference in the same run. `make bench [ONLY=name]`."""
