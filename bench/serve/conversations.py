"""Conversations between a guest and Joey, invented for the bench: as many as are wanted, no two alike.

A conversation strings exchanges together in an order of its own, under a guest's name of its own. With
the embedded base's tokenizer ten turns and the message behind them make a prompt of about 190 tokens.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from persona.dialogue import Turn

GUESTS = (
    "Ana", "Ben", "Carla", "Dev", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Mina", "Nils",
    "Olga", "Pavel", "Quinn", "Rosa", "Sami", "Tara", "Umut", "Vera", "Wim", "Xenia", "Yusuf", "Zoe",
)  # fmt: skip
EXCHANGES = (
    ("What did you have for lunch today?", "A meatball sub, and then another meatball sub."),
    ("Are you any good at cooking yourself?", "I can open a pizza box with one hand."),
    ("Did you get the part you read for?", "They wanted somebody taller. I ate their donuts."),
    ("I just moved here and know nobody yet.", "Now you know me! First coffee is on you."),
    ("My boss yelled at me in front of everyone.", "Want me to come over and look big at him?"),
    ("Do you believe in love at first sight?", "Sure, it happens to me about twice a week."),
    ("I am learning to play the guitar.", "I played one on stage. It had no strings."),
    ("What would you do with a million dollars?", "Buy a boat and fill it with sandwiches."),
    ("It has been raining here for three days.", "Perfect, nobody asks why you stay on the couch."),
    ("My cat knocked over the Christmas tree.", "I did that once, and I have no cat."),
    ("Which film should we watch tonight?", "Something with a car chase in it."),
    ("I have a date on Friday and I am nervous.", "Smile, listen, and order plenty of food."),
    ("Can you keep a secret for me?", "Yes! Until someone offers me cake for it."),
    ("How was the audition this morning?", "Great, but it was the wrong building."),
    ("My sister is getting married in June.", "Is there going to be a buffet? I love weddings."),
    ("I can't sleep at night any more.", "Try warm milk, and then a whole lasagna."),
    ("What is the best pizza in the city?", "The one that is closest to me right now."),
    ("I finally passed my driving test!", "No way! Can you drive me to the bakery?"),
    ("Do you ever read books at all?", "I read a menu cover to cover just yesterday."),
    ("My neighbour plays the drums all night.", "Have you tried dancing? It saved my lease."),
    ("I bought a plant and it is dying.", "Talk to it. If it answers, call somebody."),
    ("Are you free to help me move on Sunday?", "My back hurts already, but is there pizza?"),
    ("I think my phone is listening to me.", "Then tell it to order two cheeseburgers."),
    ("What were you like back in school?", "Popular with the lunch ladies, that's for sure."),
    ("My flight was cancelled again today.", "Did they at least give you the little pretzels?"),
    ("Who is the smartest person you know?", "My grandmother. She counts cards."),
    ("I started running in the mornings.", "From what? Should I be worried about you?"),
    ("Tell me something nice, I had a bad day.", "You have kind eyes. I saved you a slice."),
    ("How do you remember all of your lines?", "I write them inside my hat."),
    ("My roommate ate all of my leftovers.", "That is a crime. I never forgive that."),
    ("Should I cut my hair really short?", "If your head is a nice shape, go for it."),
    ("I won forty dollars in the lottery.", "That is eight sandwiches! You are rich."),
    ("Is it weird to go to the movies alone?", "No way, then nobody touches your popcorn."),
    ("We are out of coffee at the office.", "Go home right now. They can't make you stay."),
    ("I am allergic to peanuts and to dust.", "So you can't eat dust? That is so sad."),
    ("What do you want for your birthday?", "A chair that leans back, and snacks."),
    ("My dad wants me to study law.", "You could play one, that takes a weekend."),
    ("I burned the rice for the third time.", "Scrape off the top and call it crispy, like I do."),
    ("The heating in my flat is broken.", "Wear everything you own. I did it once."),
    ("Do you like dogs better than cats?", "I like the one who won't judge my dinner."),
    ("I got a tattoo and I regret it.", "Is it spelled right? Then it is fine."),
    ("There is a spider in my bathroom.", "Shut the door, it is his bathroom from now on."),
    ("I have to give a speech next week.", "Picture them in towels. It works for me."),
    ("What is the bravest thing you ever did?", "I took the last piece, and they all watched."),
)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation between `guest` and `host`: the earlier turns in pairs, and the guest's new message."""

    guest: str
    host: str
    exchanges: tuple[tuple[str, str], ...]
    message: str

    def turns(self) -> tuple[Turn, ...]:
        """Return the history and the new message behind it."""
        return (*self._turns(self.exchanges), Turn(self.guest, self.message))

    def before(self) -> tuple[Turn, ...]:
        """Return what stood there when the host's last line was to come."""
        return self.turns()[:-2]

    def with_reply(self, text: str) -> tuple[Turn, ...]:
        """Return the history with `text` as the host's last line, and the new message behind it."""
        *before, _, message = self.turns()
        return (*before, Turn(self.host, text), message)

    def _turns(self, exchanges: Sequence[tuple[str, str]]) -> Iterator[Turn]:
        for asked, said in exchanges:
            yield from (Turn(self.guest, asked), Turn(self.host, said))


def talks(host: str, turns: int, seed: int = 0) -> Iterator[Talk]:
    """Yield conversations without end, with `turns` (an even number) before the new message.

    No two begin with the same two lines of the same guest: a cache that knows one has met it before.
    """
    drawn = random.Random(seed)
    begun: set[tuple[str, ...]] = set()
    pairs = turns // 2
    while True:
        guest = drawn.choice(GUESTS)
        chosen = drawn.sample(EXCHANGES, min(pairs + 1, len(EXCHANGES)))
        beginning = (guest, chosen[0][0], chosen[1][0])
        if beginning not in begun:
            begun.add(beginning)
            yield Talk(guest, host, tuple(chosen[:pairs]), chosen[pairs][0])
