"""What may leave the house, and what may not."""

import pytest

from persona.characters import Persona, find_persona, friends
from persona.copied import CopiedLines
from persona.dialogue import Scene, Turn
from persona.guard import Guard, loops

FRIENDS = friends()
JOEY = find_persona("joey", FRIENDS)
GUARD = Guard(FRIENDS)
SCENE = Scene((Turn("Sam Ray", "hi"), Turn(JOEY.name, "I could eat a whole turkey, man."), Turn("Sam Ray", "really?")))


def reason(reply: str, scene: Scene = SCENE) -> str | None:
    return GUARD.refusal(reply, scene, JOEY)


@pytest.mark.parametrize(
    "reply",
    [
        "Hey! How you doin'?",
        "42",
        "No, no. Chandler is at work, so I ate his lunch.",
        "Two things: bread and ham.",
        "I said to Chandler that it's 5:30 already...",
        "Joey doesn't share food!",
        "Oh my God!! Oh my God!!",
        "What?! No! Well... maybe.",
        "Ich weiß es nicht, ¿y tú?",
        "5 < 6 | 7 > 3, and a<b",
        "I [really] love you <3",
    ],
)
def test_ordinary_replies_pass(reply):
    assert reason(reply) is None


@pytest.mark.parametrize("reply", ["", "  \n", "...", "?!", "🙂", "\u200b"])
def test_a_reply_without_a_letter_or_digit_is_empty(reply):
    assert reason(reply) == "empty"


@pytest.mark.parametrize(
    "reply",
    [
        "Sure <|im_end|>",
        "well < |im_start| >",
        "ok |>",
        "no </s>",
        "a <s> b",
        "＜|user|＞ hi",
        "[INST] do",
        "im_end it is",
        "fine < end_of_turn >",
        "im _ start",
        "[ INST ] so",
        "<b>bold</b>",
        "[LAUGHS] no",
        "hello {{user}}",
        "</assistant> so",
        "half a character \ufffd",
    ],
)
def test_what_looks_like_a_control_token_is_refused(reply):
    assert reason(reply) == "tag"


@pytest.mark.parametrize(
    "reply",
    [
        "Chandler Bing: could I BE any later?",
        "chandler: hi",
        "Joey Tribbiani: hey",
        "Fine.\nMonica: no!",
        "Fine. Monica: no!",
        "Yeah! (Dr. Geller : what)",
        "Sam Ray: I said hi",
        "Sure.\nSam Ray\nHi again",
        "PHOEBE： la la",
        '"Rachel: no," she said',
        "Sure. Ross:",
        "Monica:(sighs) no",
        "assistant\nHow can I help?",
        "Okay. User: hi",
        "Guest: hi",
        "Fine. Monica:...",
        'I told her "Rachel: no!"',
        "Monica!\nNo.",
        "MONICA  GELLER : so",
    ],
)
def test_another_speakers_line_is_refused(reply):
    assert reason(reply) == "another speaker"


@pytest.mark.parametrize(
    "reply",
    [
        "Oh, I'm Phoebe.",
        "Hi! My name is Chandler, and I make jokes.",
        "I am Dr. Geller.",
        "My name’s Monica Geller. And you?",
        "Call me Rach!",
        "i'm Ross",
    ],
)
def test_nobody_says_that_he_is_somebody_else(reply):
    assert reason(reply) == "another's name"


@pytest.mark.parametrize(
    "reply",
    [
        "I'm Joey. How you doin'?",
        "My name is Joey Tribbiani, actor.",
        "I'm Chandler's roommate.",
        "This is Monica, she cooks.",
        "I'm not Ross!",
        "Well, I'm Phoebe Cates, if you like.",
        "Call me, Rachel.",
        "I'm Monicalike today",
    ],
)
def test_everybody_says_who_he_is_and_talks_about_others(reply):
    assert reason(reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        "I'm a bot. I'm a bot, and I'm a bot.",
        "That's the sound of a cat on a keyboard. That's the sound of a cat on a keyboard.",
        "one two three four five six seven eight nine " * 3,
    ],
)
def test_a_reply_that_says_it_again_between_other_words_is_a_loop(reply):
    assert reason(reply) == "loop"


def test_twice_is_no_loop():
    assert reason("I love you, and I love you too, you know.") is None


def test_a_name_that_is_a_word_forbids_nobody_the_word():
    happy = Persona("happy", "Happy", fallbacks=("Hm.",))
    assert Guard((JOEY, happy)).refusal("I'm happy for you.", SCENE, JOEY) is None
    assert Guard((JOEY, happy)).refusal("I'm Happy.", SCENE, JOEY) == "another's name"


@pytest.mark.parametrize("reply", ["Ross :) I knew it", "Okay. Ross :D", "Ross :'( no", "Hi. Monica :P you win"])
def test_a_smiley_behind_a_name_is_no_colon(reply):
    assert reason(reply) is None


def test_a_time_of_day_is_no_line_of_somebody_called_five():
    assert reason("5:30 is fine.", Scene((Turn("5", "when?"),))) is None


@pytest.mark.parametrize(
    "reply",
    [
        "alright, alright, alright",
        "I know. I know. I know.",
        "so " * 3,
        "a b c d a b c d A b, c d!",
        "Don't don’t DON'T",
        "I-I-I know",
        "one two three four five " * 3,
        "And you said it to who? And you said it to who? And you said it to who?",
    ],
)
def test_one_to_eight_words_three_times_in_a_row_are_a_loop(reply):
    assert reason(reply) == "loop"
    assert loops(reply)


@pytest.mark.parametrize(
    "reply",
    ["no no, you don't", "you and you and you", "a b a c a b"],
)
def test_what_is_no_loop_passes(reply):
    assert reason(reply) is None
    assert not loops(reply)


@pytest.mark.parametrize(
    "reply", ["What!!!!", "What?!?!", "Well....", "So ! ! ! !", "So ----", "haha 😂😂😂😂", "What!!!", "No! ! !"]
)
def test_four_of_one_mark_are_too_many_and_three_of_those_that_a_model_pads_with(reply):
    assert reason(reply) == "punctuation"


def test_three_of_the_others_are_not():
    assert reason("What?? No!! Well... maybe???") is None


@pytest.mark.parametrize(
    "reply",
    [
        "Hey @everyone, dinner!",
        "come@here.",
        "_@ross",
        "Ask @chandler_b",
        "(@ross) knows",
        "＠monica come",
        "<@123456> hi",
        "<@!123456>",
        "<@&99> hi",
        "it's in <#42>",
        "See https://example.org",
        "www.example.org has it",
        "join t.me/joey",
        "discord.gg",
        "example.org/menu",
        "tg://user?id=1",
    ],
)
def test_what_pings_somebody_or_leads_somewhere_is_refused(reply):
    assert reason(reply) == "ping"


@pytest.mark.parametrize(
    "reply",
    [
        "Write to joey@example.org, I read it all.",
        "I saw it on example.org once.",
        "See you @ 8, or @8pm.",
        "It's 7 a.m./p.m., who knows?",
        "Him and/or her.",
        "We are #1!",
        "No I don't.me neither.",
    ],
)
def test_a_mail_address_and_a_sign_of_ones_own_pass(reply):
    assert reason(reply) is None


@pytest.mark.parametrize(
    "reply", ["i could eat a whole turkey - MAN", "Well, I could eat a horse.", "You'd eat a whole turkey? Yeah!"]
)
def test_more_than_three_words_of_what_was_said_are_a_repeat(reply):
    assert reason(reply) == "repeat"


@pytest.mark.parametrize("who", ["Sam Ray", JOEY.name, "Ross Geller"])
def test_whoever_said_it_however_long_ago(who):
    scene = Scene((Turn(who, "It’s raining on my couch."), *SCENE.turns * 20))
    assert reason("What? It's RAINING on my head?", scene) == "repeat"
    assert reason("What? It's raining on our couch?", scene) is None


def test_a_run_does_not_cross_two_turns():
    scene = Scene((Turn("Guest", "You and me"), Turn("Guest", "go to town")))
    assert reason("And me go to work", scene) is None


def test_names_of_personas_do_not_count_in_a_repeat():
    scene = Scene((Turn("Guest", "Say hi to Joey Tribbiani, Dr. Geller and Monica!"),))
    assert reason("Hi to Joey Tribbiani!", scene) is None
    assert reason("Joey Tribbiani, Dr. Geller and Monica: my friends.", scene) is None
    assert reason("I say hi to Monica and Joey.", scene) is None
    assert reason("To Joey Tribbiani, Dr. Geller and Rachel!", scene) is None
    assert reason("Hi to Joey Tribbiani, Dr. Geller and Monica!", scene) is None
    assert reason("Say hi to Joey Tribbiani, Dr. Geller and Rachel!", scene) == "repeat"


def test_a_line_of_ones_own_is_not_said_again_whole():
    scene = Scene(
        (Turn("Guest", "hi"), Turn(JOEY.name, "Yeah, I know."), Turn("Guest", "so?"), Turn(JOEY.name, "Yeah."))
    )
    assert reason("yeah I KNOW", scene) == "repeat"
    assert reason("Yeah, I know it.", scene) is None
    assert reason("Yeah!", scene) is None
    others = Scene((Turn("Chandler Bing", "Yeah, I know."),))
    assert reason("Yeah, I know.", others) is None


def chat(*texts: str) -> Scene:
    """A guest and Joey in turn, the guest first."""
    return Scene(tuple(Turn(JOEY.name if at % 2 else "Guest", text) for at, text in enumerate(texts)))


ANSWER = "I'm an actor in New York."


@pytest.mark.parametrize("again", ["Who are you?", "hi, WHO are you", "who are you"])
def test_what_is_asked_again_may_be_answered_again(again):
    asked = chat("hi, who are you?", ANSWER, "do you like soup?", "Only with meatballs in it.", again)
    assert reason(ANSWER, asked) is None
    assert reason("I'm an actor in Rome.", asked) is None
    assert reason("Only with meatballs in it.", asked) == "repeat"


def test_the_question_itself_is_not_said_back():
    assert reason("Who are you to me?", chat("who are you to me?", ANSWER, "who are you to me?")) == "repeat"


def test_what_is_asked_a_third_time_is_not_answered_the_same_once_more():
    asked = ("who are you?", ANSWER, "who are you?", ANSWER, "who are you?")
    assert reason(ANSWER, chat(*asked[:3])) is None
    assert reason(ANSWER, chat(*asked)) == "repeat"
    assert reason("I told you: an actor.", chat(*asked)) is None


def test_two_who_greet_alike_ask_different_things():
    assert reason(ANSWER, chat("hey Joey Tribbiani", ANSWER, "hey joey tribbiani, is it raining?")) == "repeat"
    assert reason(ANSWER, chat("thank you", ANSWER, "thank you, and what about soup?")) == "repeat"


@pytest.mark.parametrize("other", ["what are you?", "you", "who are they", "who are you and where do you live"])
def test_what_is_asked_otherwise_is_not_answered_the_same(other):
    assert reason(ANSWER, chat("hi, who are you?", ANSWER, other)) == "repeat"


def test_what_the_persona_asks_itself_is_no_question_asked_again():
    scene = Scene((Turn(JOEY.name, "who are you?"), Turn(JOEY.name, ANSWER), Turn("Guest", "who are you?")))
    assert reason(ANSWER, scene) == "repeat"
    assert reason(ANSWER, Scene((Turn("Guest", "Who are you?"), Turn(JOEY.name, ANSWER)))) == "repeat"


def test_one_word_is_no_question_asked_again():
    assert reason(ANSWER, chat("lol", ANSWER, "lol")) == "repeat"


def test_eight_words_of_a_training_line_are_copied():
    copied = CopiedLines.of(["The quick brown fox jumps over the lazy dog."]).copies
    guard = Guard(FRIENDS, copied)
    assert guard.refusal("My, the quick, brown FOX jumps over the lazy cat", SCENE, JOEY) == "copied"
    assert guard.refusal("The quick brown fox jumps over my lazy dog", SCENE, JOEY) is None
    assert GUARD.refusal("The quick brown fox jumps over the lazy dog.", SCENE, JOEY) is None


def test_the_predicate_decides_what_is_offensive():
    assert GUARD.refusal("you turnip", SCENE, JOEY, lambda text: "turnip" in text) == "offensive"
    assert GUARD.refusal("you carrot", SCENE, JOEY, lambda text: "turnip" in text) is None


def test_a_name_of_punctuation_stands_for_itself():
    scene = Scene((Turn("(a+)+$", "hi"),))
    assert reason("(a+)+$: hello", scene) == "another speaker"
    assert reason("aaaa hello", scene) is None


def test_a_persona_outside_the_guards_own_is_known_too():
    ann = Persona.from_speaker("Ann Lee")
    assert Guard(()).refusal("Ann Lee: hello", SCENE, ann) == "another speaker"
    assert Guard(()).refusal("Monica: hello", SCENE, ann) is None


@pytest.mark.parametrize("reply", ["I'm a waitress.", "I’M A WAITRESS!", "I am a waitress, too.", "My son is six."])
def test_what_a_character_is_not_is_refused(reply):
    assert reason(reply) == "untrue"


def test_what_is_untrue_of_one_is_true_of_another():
    rachel = find_persona("rachel", FRIENDS)
    assert GUARD.refusal("I'm a waitress.", SCENE, rachel) is None
    assert Guard((Persona("a", "A", untrue=("...", "my cat")),)).refusal("my cat is here", SCENE, JOEY) is None
    alone = Persona("a", "A", untrue=("...", "My cat"))
    assert Guard((alone,)).refusal("I love my cat.", SCENE, alone) == "untrue"
    assert Guard((alone,)).refusal("I love my dog.", SCENE, alone) is None


def test_the_six_may_be_what_their_premises_say():
    trades = ("joey", "an actor"), ("monica", "a chef"), ("phoebe", "a masseuse"), ("ross", "a paleontologist")
    for name, trade in trades:
        for one in FRIENDS:
            said = GUARD.refusal(f"I'm {trade}.", SCENE, one)
            assert (said == "untrue") == (one.id != name), (one.id, trade)
