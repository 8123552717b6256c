"""Takes e-mail addresses and people's names out of changelog texts."""

import re
from collections.abc import Iterable

ADDRESS = re.compile(r"<?[\w.+%=-]+@[\w-]+(?:\.[\w-]+)*>?")
TEAM = re.compile(r"debian|ubuntu|maintainer|team|group|package|gnome|janitor|project|\bqa\b|kde|strike|java", re.I)
UPPER = r"A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶŁĻŃŅŇŌŐŒŔŘŚŞŠŤŪŮŰŹŻŽ"
WORD = rf"[{UPPER}][\w'’.-]*\w"
PART = rf"(?:{WORD}|[{UPPER}]\.?|de|da|van|von|der|den|di|la|le|el|al)"
GONE = "[name]"

CREDIT = re.compile(
    r"\b((?i:thanks|thank you|thx|kudos|reported|suggested|contributed|provided|submitted|spotted|pointed out|courtesy"
    r"|credits?)(?i:,|:)?(?: (?i:a lot|very much|go|again))?(?: (?i:to|by|of|from))?,? )"
    rf"(?!(?i:debian|ubuntu|closes|lintian|upstream)\b)"
    rf"{WORD}(?: {PART})*"
)
BY = re.compile(rf"\b((?i:by|from|to|with|cc|via) )(?!(?i:debian|ubuntu|gnome|gnu)\b){WORD}(?: {PART})* {WORD}")
ALONE = re.compile(rf"([(\[] ?){WORD}(?: {PART}){{0,2}} {WORD}( ?[)\],;])")
TWICE = re.compile(re.escape(GONE) + r"(?:[\s,&]*(?:and )?" + re.escape(GONE) + ")+")


class Names:
    """What is known of people's names: those who signed uploads or parts of them."""

    def __init__(self, signed: Iterable[str]) -> None:
        people = {" ".join(name.split()) for name in signed if not TEAM.search(name)}
        full = {name for name in people if " " in name and len(name) > 4}
        given = {name.split()[0] for name in full if re.fullmatch(rf"[{UPPER}]\w{{2,}}", name.split()[0])}
        longest = sorted(full, key=lambda name: (-len(name), name))
        self._full = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest)) + r")(?!\w)")
        self._given = re.compile(r"(?<!\w)(?:" + "|".join(sorted(given)) + rf")(?: {PART})* {WORD}")

    def remove(self, text: str) -> str:
        """The text without addresses, and with `[name]` for signers' names and for what a credit names."""
        text = ADDRESS.sub("", text)
        text = self._given.sub(GONE, self._full.sub(GONE, text))
        text = BY.sub(rf"\1{GONE}", CREDIT.sub(rf"\1{GONE}", text))
        text = ALONE.sub(rf"\1{GONE}\2", text)
        return " ".join(TWICE.sub(GONE, text).split())
