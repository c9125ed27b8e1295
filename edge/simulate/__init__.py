"""Simulated production lines behind real protocol servers: for demos, tests and engineers without a machine at
hand.

Flow: parameters ─► process (pure, seeded, machine time) ─► plant (go, stop, injections, truth) ─► signals ─► memory
─► servers. Imported by the command line and by tests only; production paths never come here.
"""
