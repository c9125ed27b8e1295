"""What a machine is:

its signals, what they say of its state, and its life as a ledger. Templates are data in `config/templates`.
"""
