"""`seamline replay`: recorded readings through the very same core as a live run, and the ledger they come to.

Theory. A machine's ledger is a function of its readings, the site file and nothing else. So whoever has both can make
every figure again, on any computer, and compare it with what the agent stored at the time.

    file ─ readings ─► order (watermark) ─► account (Observer, kernel, minute book) ─► spool ─► document or table
                         └► late, in arrivals: a further pass for each

Rules. Same input, same bytes out: no clock, no locale, no hash order reaches the output. Memory does not grow with the
file: readings wait only for the watermark, windows wait on the disk. The plant is not contacted.
"""
