"""The gateway's own page: what the line is doing, for people standing in front of it. Works with every link down."""
