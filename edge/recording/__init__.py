"""Readings kept as the ledger saw them, so that every figure can be made again from them: `seamline replay`.

    machine life ─ sample ─► tape (lines, in memory) ─ once a commit ─► segments (files, bounded)

Theory. A ledger is a function of its samples. A tape writes down of every sample what is new in it, in the format of
`docs/replay.md`; a replay of these lines pushes the same samples into the same kernel. What it takes for that is that
the files hold exactly the samples the stored ledger was made from: lines go to the disk before the commit they belong
to, and what a killed agent wrote beyond its last checkpoint is cut off at the next start.

Rules. Truth first: the recording gives way to everything else. Its files never exceed their bound, its memory never
its own; where the disk refuses or gets short it stops, says so once, and begins anew when there is room. Nothing here
runs on the event loop but a comparison per signal and sample, and nothing at all where recording is off.
"""
