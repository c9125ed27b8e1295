"""What the counter decoder decided about a sample that was no plain increment, for the log: numbers and a sentence."""

from __future__ import annotations

import logging

from edge.errors import Text
from edge.logs import facts
from ext.buckets import Correction, Counter

_QUIET = (Correction.BASELINE, Correction.ROLLOVER)  # what every healthy counter does
_SENTENCES = {
    Correction.BASELINE: Text("首次读数，从这里开始计数", "first reading: counting starts here"),
    Correction.ROLLOVER: Text("计数器到顶回绕", "the counter rolled over"),
    Correction.RESET: Text("计数器被清零", "the counter was cleared"),
    Correction.REBASE: Text("计数器跳到新值，以它为新的基线", "the counter jumped: the new value is the new baseline"),
    Correction.GLITCH: Text("读数不合情理，已忽略", "a reading that cannot be true was ignored"),
    Correction.REVERSAL: Text("此前判为清零的读数有误，已撤销", "what looked like a reset was none; it is taken back"),
    Correction.AMBIGUOUS: Text(
        "变化有两种解释，取较小者", "two explanations are possible; the smaller count was taken"
    ),
    Correction.COUNTER_FAULT: Text(
        "读数持续不合情理，请核对点位与 PLC 程序",
        "its readings keep making no sense: check the tag and the PLC program",
    ),
}
Entry = tuple[int, int, int, int, int, int, int, int]  # as MachineLedger.corrections


def tell(log: logging.Logger, machine: str, entry: Entry) -> Correction:
    """Log one correction; `lost_max` is how many pieces may be missing at most."""
    _, counter, number, old, new, credited, lost_max, unattributed = entry
    kind = Correction(number)
    doubts = {"lost_max": lost_max, "unattributed": unattributed}
    log.log(
        logging.INFO if kind in _QUIET else logging.WARNING,
        "counter",
        extra=facts(
            machine=machine,
            counter=Counter(counter).name.lower(),
            correction=kind.name.lower(),
            old=old,
            new=new,
            credited=credited,
            **{name: pieces for name, pieces in doubts.items() if pieces},
            detail=str(_SENTENCES[kind]),
        ),
    )
    return kind
