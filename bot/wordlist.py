"""Rules beside those of safetype's English list, in its pattern language.

A pattern is words between word borders; `(a|b)` is a choice, `?` makes a word optional, a `*` at the
end of one takes every word that begins so. An apostrophe is a border: "I'll" is `i ll`.

SLURS holds names for people by origin, religion, orientation, sex or disability that at least two of
eleven published lists hold and that have no innocent sense of their own, and two chants.
"""

SLURS = (
    # of origin and colour
    "(n*gger*|nigga*|niggaz|nig|nigs|nignog*)",
    "(negro|negroes|negros|negress)",
    "(coon|coons|darkie|darkies|darky|jigaboo*|jiggaboo*|golliwog*|sambo|sambos|pickaninny|pickaninnies)",
    "jungle (bunny|bunnies)",
    "(porch|sand) (monkey|monkeys)",
    "camel (jockey|jockeys)",
    "(spic|spics|beaner*|dago|dagos|dagoes|wop|wops|polack*)",
    "(chink|chinks|chinky|gook|gooks|jap|japs|chinaman|chinamen|zipperhead*|slanteye*|chingchong)",
    "ching chong",
    "(paki|pakis|wog|wogs|kaffir*|honky|honkey|honkies|honkeys|injun|injuns|squaw|squaws)",
    "(pikey|pikeys|wigger*|halfbreed*)",
    # of religion
    "(heeb|heebs|hymie|hymies|yid|yids)",
    "(sieg|heil) (heil|hitler)",
    # of orientation and sex
    "(fag|fags|faggy|fagot|fagots|f*ggot*|f*g|f*gs|poofter*|homo|homos|fudgepacker*|carpetmuncher*)",
    "(fudge|carpet) (packer|packers|muncher|munchers)",
    "(dyke|dykes|bulldyke*|lesbo|lezbo|lezbos|lezzie|lezzies)",
    "(tranny|trannies|trannie|shemale*)",
    # of disability
    "(retard|retards|retarded)",
)

_VERY = "(just|so|really|totally|literally|seriously|fucking|freaking)?"
_WILL = f"(i|ill|im|ima|imma|we) (ll|will|m|am|re|are|d|would|shall)? {_VERY} (gonna|going|goin)? (to|ta)? {_VERY}"
_YOU = "(you|u|ya|yall)"

THREATS = (
    f"{_WILL} (kill|murder|strangle|stab|slaughter|rape|skin|gut) {_YOU}",
    f"{_WILL} (kill|murder|hurt|rape) your (whole)? (family|mother|mom|father|dad|brother|sister|wife|husband|kids)",
    "(i|ill|we) (ll|will|m|am) (gonna|going)? (to)? (hurt|shoot) (you|u|ya|yall)",
    "(im|ima|imma) (gonna|going)? (to)? (hurt|shoot) (you|u|ya|yall)",
    f"{_WILL} (break|snap|slit|cut|crush) your (neck|throat|skull|legs|arms|fingers|kneecaps)",
    f"{_WILL} (shoot|blow|burn) (up|down) (the|this|your) (school|house|home|office|church|mosque|synagogue)",
    f"{_WILL} make {_YOU} (suffer|bleed)",
    f"(i|we) (just|really|do|so)? (hope|wish|want|pray) (that)? {_YOU} (all|both|guys)? (d|would|will|to)? (just)?"
    " (go)? (and)? (die|rot|suffer)",
    f"(i|we) (just|really)? (wish|hope|want) (that)? {_YOU} (were|was|are)? dead",
    f"(i|we) know where {_YOU} (live|sleep)",
    "(you|u|youre) (are|re|r)? (a)? dead (man|woman|meat)",
    f"{_YOU} (should|must|deserve|ought|need|oughta|gotta) (just|really)? (to)? (just)? (go)? (and)? (die|kys)",
    "(kill|hang|shoot|stab) (yourself|urself|yourselves|urselves)",
)

# What only `strict` keeps back, where safetype's list has nothing.
SWEARING = (
    "(f*ck*|sh*t*|motherf*cker*)",
    "(cock|cocks|dicks|dickwad*|dickweed*|pussy|pussies|tits|titties|skank*)",
    "(a|my|your|his|big|such) (dick|prick)",
    "(cum|cumming|cumshot*|jizz*|dildo*|blowjob*|handjob*|rimjob*)",
    "(blow|hand|rim) (job|jobs)",
    "(jerked|jerking|jack|jacked|jacking) off",
)

# Regular expressions for what holds a word of the lists and is meant otherwise.
HARMLESS = (
    r"\bvan dyke\b",
    r"\bhomo[\s-]+(?=sapien|erect|habil|ergaster|neander|heidel|flores|naledi|econom)",
    r"\bhonky[\s-]?tonks?\b",
    r"\bchinks? in (?:\w+ ){1,2}armou?r\b",
    r"\bnegro (?:leagues?|spirituals?|college)\b",
    r"\bpussy[\s-]?(?:cats?|willows?)\b",
    r"\bwoo+p\b",
    r"\bdamning\b",
)
