"""Replies a minute, warm and cold, and seconds to a reply, beside `generate` and other people's servers."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.serve.parties import Party
from bench.serve.peers import LLAMA, VLLM, PeerError
from bench.serve.sides import Bench
from bench.serve.table import Row, skipped, spread
from bench.serve.workload import Timed, at_once, one_by_one, warmed

WARM, COLD, ALONE = "warm", "cold", "alone"
GOALS = {WARM: 15.0, COLD: 7.0}
ALONE_GOAL, INT8_GOAL = 0.35, 0.2


@dataclass
class Rates:
    """By party and kind: replies a minute, or seconds to a reply alone, one figure a round."""

    of: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, party: Party, kind: str, timed: Timed, longest: int) -> None:
        """Note a round."""
        figure = statistics.median(timed.each) if kind == ALONE else timed.a_minute(longest)
        self.of[party.name, kind].append(figure)
        self.tokens[party.name].append(timed.tokens)

    def median(self, name: str, kind: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.of[name, kind])

    def ratio(self, ours: tuple[str, str], theirs: tuple[str, str]) -> float:
        """Return the median of the ratios of each round."""
        pairs = zip(self.of[ours], self.of[theirs], strict=True)
        return statistics.median(one / other for one, other in pairs)


async def measure(bench: Bench) -> list[Row]:
    """Let the sides take turns, each beginning every other round; return the rows."""
    rates = Rates()
    peers = [peer for peer in bench.peers if await _answers(bench, peer)]
    for party in (bench.ours, bench.generate):  # what a first call costs is not part of a reply
        await one_by_one(party, [bench.talks(1)[0].turns()], 2)
    for number in range(bench.asked.rounds):
        bench.asked.tell(f"Replies, round {number + 1} of {bench.asked.rounds}.")
        sides = [bench.ours, *peers]
        asked = await _alone(bench, rates, first=number % 2 == 0)
        rates.add(bench.generate, WARM, asked, bench.sizes.reply)
        for party in sides if number % 2 == 0 else reversed(sides):
            await _together(bench, party, rates)
    return [*_plain_rows(bench, rates), *_peer_rows(bench, rates, peers)]


async def _alone(bench: Bench, rates: Rates, *, first: bool) -> Timed:
    """Put the same warm conversations to ours and to `generate`, one by one; return what `generate` took."""
    sizes = bench.sizes
    asked = await warmed(bench.ours, bench.talks(sizes.plain), sizes.reply_before)
    timed = {}
    for party in (bench.ours, bench.generate) if first else (bench.generate, bench.ours):
        timed[party.name] = await one_by_one(party, asked, sizes.reply)
        rates.add(party, ALONE, timed[party.name], sizes.reply)
    return timed[bench.generate.name]


async def _together(bench: Bench, party: Party, rates: Rates) -> None:
    sizes = bench.sizes
    known = await warmed(party, bench.talks(sizes.at_once), sizes.reply_before)
    rates.add(party, WARM, await at_once(party, known, sizes.reply), sizes.reply)
    new = [talk.turns() for talk in bench.talks(sizes.at_once)]
    rates.add(party, COLD, await at_once(party, new, sizes.reply), sizes.reply)


async def _answers(bench: Bench, peer: Party) -> bool:
    try:
        await one_by_one(peer, [bench.talks(1)[0].turns()], 2)
    except PeerError as error:
        bench.asked.tell(f"Left out: {error}.")
        return False
    return True


def _plain_rows(bench: Bench, rates: Rates) -> list[Row]:
    ours, plain, size = bench.ours.name, bench.generate.name, bench.sizes.at_once
    rows = []
    for kind, goal in GOALS.items():
        ratio = rates.ratio((ours, kind), (plain, WARM))
        rows.append(
            Row(
                f"replies a minute, {size} {kind} conversations at once",
                f"{rates.median(ours, kind):.0f}",
                f"{rates.median(plain, WARM):.1f} (`generate`, fp32, one at a time)",
                f"{ratio:.1f}",
                f"at least {goal:g}",
                ratio >= goal,
                {"ours": spread(rates.of[ours, kind]), "generate": spread(rates.of[plain, WARM]), "ratio": ratio},
            )
        )
    share = rates.ratio((ours, ALONE), (plain, ALONE))
    figures = {"ours": spread(rates.of[ours, ALONE]), "generate": spread(rates.of[plain, ALONE]), "ratio": share}
    goal = INT8_GOAL if bench.asked.place.is_int8 else ALONE_GOAL
    seconds = [f"{rates.median(name, ALONE):.2f} s" for name in (ours, plain)]
    name = "median time to a reply, a warm conversation, one at a time"
    return [*rows, Row(name, *seconds, f"{share:.2f}", f"at most {goal:g}", share <= goal, figures)]


def _peer_rows(bench: Bench, rates: Rates, peers: Sequence[Party]) -> list[Row]:
    ours, size = bench.ours.name, bench.sizes.at_once
    met = {peer.name for peer in peers}
    missing = [
        skipped(f"replies a minute beside {name}", "not measured: give the address of one that runs")
        for name in (LLAMA, VLLM)
        if name not in met
    ]
    rows = []
    for kind in (WARM, COLD) if peers else ():
        for peer in peers:
            ratio = rates.ratio((ours, kind), (peer.name, kind))
            told = f"{rates.median(peer.name, kind):.0f}{_length(bench, rates, peer)}"
            figures = {"ours": spread(rates.of[ours, kind]), peer.name: spread(rates.of[peer.name, kind])}
            rows.append(
                Row(
                    f"replies a minute, {size} {kind}, beside {peer.name}",
                    f"{rates.median(ours, kind):.0f}",
                    told,
                    f"{ratio:.2f}",
                    "at least 1",
                    ratio >= 1,
                    figures | {"ratio": ratio},
                )
            )
    return rows + missing


def _length(bench: Bench, rates: Rates, party: Party) -> str:
    """Say how long the replies were where they were not as long as they should be."""
    mean = statistics.mean(rates.tokens[party.name])
    return "" if mean == bench.sizes.reply else f" (its replies had {mean:.0f} tokens and count by length)"
