"""Which names belong to secrets: of fields, of options, of what stands in front of `=` or `:` in a text.

A name is folded (case, `-`, `_`, `.` and blanks are gone) and then secret when it contains one of a short list of words, is one of a few
exact names, or contains a word that the configuration added; unless it is on the allow-list. Owns: the words. Never raises.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "accountkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "authorization",
    "cookie",
    "sessionid",
    "sessid",
    "csrf",
    "xsrf",
    "dsn",
    "connectionstring",
)
EXACT = frozenset(("pass", "dbpass", "userpass", "rootpass", "smtppass", "ftppass", "sshpass", "auth", "connectsid"))
# Names that contain such a word and are none: counts of a language model's tokens, its special tokens, and the like.
ALLOWED = frozenset(
    (
        "tokencount",
        "tokencounts",
        "maxtokens",
        "maxtoken",
        "mintokens",
        "tokens",
        "numtokens",
        "ntokens",
        "totaltokens",
        "prompttokens",
        "completiontokens",
        "inputtokens",
        "outputtokens",
        "cachedtokens",
        "reasoningtokens",
        "newtokens",
        "maxnewtokens",
        "tokensused",
        "tokenusage",
        "tokenspersecond",
        "tokenlimit",
        "tokentype",
        "tokenizer",
        "tokenizers",
        "tokenization",
        "tokenize",
        "tokenized",
        "tokenids",
        "tokentypeids",
        "eostoken",
        "bostoken",
        "padtoken",
        "unktoken",
        "septoken",
        "clstoken",
        "masktoken",
        "secretary",
        "passwordless",
    )
)
MAX_KNOWN = 4096
_DROP = str.maketrans("", "", "-_. ")
plain: set[str] = set()  # names that are no secret's and hold none
_known: dict[str, bool] = {}
_added: tuple[str, ...] = ()
_allowed: frozenset[str] = ALLOWED
_on = True


def folded(name: str) -> str:
    """Return *name* as names are compared: without case and separators."""
    return name.casefold().translate(_DROP)


def is_secret_key(key: str) -> bool:
    """Tell whether what has this name is masked whatever it holds. Remembered; a program has few names."""
    answer = _known.get(key)
    if answer is None:
        answer = _on and which(key) is not None
        if len(key) <= 256:
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            _known[key] = answer
    return answer


def which(key: str) -> str | None:
    """Return the word that makes *key* a secret's name, None when it is none."""
    bare = folded(key[:512])
    if bare in _allowed:
        return None
    if bare in EXACT:
        return bare
    for word in WORDS:
        if word in bare:
            return word
    for word in _added:
        if word in bare:
            return word
    return None


def configure(on: bool, added: Iterable[str], allowed: Iterable[str]) -> None:
    """Take new words; what was remembered is forgotten."""
    global _added, _allowed, _on
    _added = tuple(word for word in map(folded, added) if word)
    _allowed = ALLOWED | frozenset(map(folded, allowed))
    _on = on
    _known.clear()
    plain.clear()
