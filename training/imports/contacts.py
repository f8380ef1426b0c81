"""Links, e-mail addresses and long numbers, replaced by ones that are reserved for fiction.

RFC 2606 keeps example.com for this, and 555-0100 belongs to nobody. They read like any other, so
a model that learns them says nothing odd and gives nothing away.
"""

import re
from collections.abc import Callable

LINK, E_MAIL, NUMBER = "https://example.com", "someone@example.com", "555-0100"
_END = r"""\S*[^\s.,;:!?'")\]]"""
_BARE_DOMAINS = "com|org|net|edu|gov|info|app|dev|gg|io|tv|eu|uk|ch|at|de|fr|es|nl|se|pl|cz|ru|ua|br|jp|cn|au|ca"
_CONTACT = re.compile(
    r"(?P<mail>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    rf"|\b(?:[a-z][a-z+.-]{{0,20}}://|www\.|mailto:|tel:){_END}"
    rf"|(?<![\w.-])(?:[\w-]+\.)+(?:(?:{_BARE_DOMAINS})\b(?!/)|[a-z]{{2,}}/(?:{_END})?)",
    re.IGNORECASE,
)
# Seven digits and more: telephones, cards, accounts. Dates and sums of that length go, too.
_NUMBER = re.compile(r"(?<![@\d])\+?\(?\d(?:[\s().\u2010-\u2013/-]{0,2}\d){6,}")


def without_contacts(text: str, between: Callable[[str], str] = str) -> str:
    """Return `text` with links, e-mail addresses and numbers of seven digits and more replaced.

    `between` is applied to everything else, before numbers are looked for.
    """
    pieces, end = [], 0
    for found in _CONTACT.finditer(text):
        pieces += [_NUMBER.sub(NUMBER, between(text[end : found.start()])), E_MAIL if found["mail"] else LINK]
        end = found.end()
    return "".join(pieces) + _NUMBER.sub(NUMBER, between(text[end:]))
