"""How Telegraf's Modbus input groups fields into requests, as its documentation describes the `optimization` setting.

A yardstick for the planner, written from the description. Fields are (address, length), none overlapping, none omitted.
Without omitted fields `shrink` and `rearrange` have nothing to drop or move: what is consecutive is one request, cut
where it is too long, as with `none`.
"""

from itertools import pairwise


def consecutive(fields, longest):
    """`none`, `shrink`, `rearrange`: only fields without a hole between them share a request."""
    return max_insert(fields, longest, 0)


def max_insert(fields, longest, fill):
    """Fields share a request while no hole between them is wider than `fill` and the request is not too long."""
    requests = []
    for address, length in sorted(fields):
        start, end = requests[-1] if requests else (0, 0)
        if requests and address - end <= fill and address + length - start <= longest:
            requests[-1] = (start, address + length)
        else:
            requests.append((address, address + length))
    return [(start, end - start) for start, end in requests]


def aggressive(fields, longest):
    """As few requests as possible whatever the holes, and then as few registers. Telegraf searches for that; this is
    the best its search can find.
    """
    fields = sorted(fields)
    best = [(0, 0, 0)]  # requests, registers, where the last request begins
    for stop in range(1, len(fields) + 1):
        end = sum(fields[stop - 1])
        best.append(
            min(
                (best[begin][0] + 1, best[begin][1] + end - fields[begin][0], begin)
                for begin in range(stop)
                if end - fields[begin][0] <= longest
            )
        )
    cuts = [len(fields)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][2])
    return [(fields[begin][0], sum(fields[stop - 1]) - fields[begin][0]) for stop, begin in pairwise(cuts)]
