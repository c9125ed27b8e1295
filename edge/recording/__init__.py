"""Readings kept as the ledger saw them, so that every figure can be made again from them: `seamline replay`.

    machine life ─ facts ─► tape (lines, in memory) ─ once a commit ─► segments (files, bounded)

Theory. A ledger is a function of the facts it heard. A tape writes them down as they come, in the format of
`docs/replay.md`; a replay of these lines lets the same kernel hear them again. What it takes for that is that the files
hold exactly the facts the stored ledger was made from: lines go to the file before the commit they belong to, and what
a killed agent wrote beyond its last commit is cut off at the next start.

Rules. Truth first: the recording gives way to everything else. Its files never exceed their bound, its memory never
its own; where the disk refuses or gets short it stops, says so once, and begins anew when there is room. On the
event loop a fact costs a line of text per reading, and nothing at all where recording is off.
"""
