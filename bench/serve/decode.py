"""How fast one conversation is decoded, as a share of what reading the weights once a token would allow.

Bandwidth is what torch reads with as many threads: the fastest of a sum, a copy (its bytes read and
written) and a matrix times a vector over a buffer much larger than any cache.
"""

from bench.serve.parties import Party
from bench.serve.sides import Bench
from bench.serve.table import Row, spread
from bench.serve.workload import one_by_one

GOAL = 0.35
_SHORT = 2


async def measure(bench: Bench) -> list[Row]:
    """Measure bandwidth before and after decoding, and take the higher; return a row for each side."""
    weights = 2 * bench.generate.parameters
    before = await bench.generate.bandwidth(bench.sizes.megabytes)
    rates = {party.name: await tokens_a_second(bench, party) for party in (bench.ours, *bench.peers)}
    after = await bench.generate.bandwidth(bench.sizes.megabytes)
    read = {way: max(before[way], after[way]) for way in before}
    most = max(read.values())
    bound = most / weights
    ours = spread(rates[bench.ours.name])
    return [
        Row(
            f"tokens a second of one conversation ({name})",
            f"{spread(rate)['median']:.1f}",
            f"{bound:.1f} ({most / 1e9:.1f} GB/s over {weights / 1e6:.0f} MB, the weights in bf16)",
            f"{spread(rate)['median'] / bound:.0%}",
            f"at least {GOAL:.0%}" if name == bench.ours.name else "",
            ours["median"] / bound >= GOAL if name == bench.ours.name else None,
            {"tokens_a_second": spread(rate), "bytes_a_second": read, "weights": weights},
        )
        for name, rate in rates.items()
    ]


async def tokens_a_second(bench: Bench, party: Party) -> list[float]:
    """Return what decoding alone makes, round by round: a long reply less a short one to the same message.

    The message was answered before, so that neither computes more of the prompt than its end.
    """
    rates = []
    longest = _SHORT + 2 * bench.sizes.reply
    for _ in range(bench.asked.rounds + 2):
        asked = bench.talks(1)[0].turns()
        await one_by_one(party, [asked], _SHORT)
        short = await one_by_one(party, [asked], _SHORT)
        long = await one_by_one(party, [asked], longest)
        more = long.said[0].tokens - short.said[0].tokens
        rates.append(more / max(long.seconds - short.seconds, 1e-6))
    return rates
