"""What must never be written into a log, a message or a repr: passwords and tokens, wherever a text carries them."""

import re

MASK = "***"
SECRET_KEY = re.compile(r"token|password|passwd|secret|authorization|credential", re.IGNORECASE)
"""Names of values that are secret whatever they look like."""
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s?#'\"]*@", re.IGNORECASE)
_DATABASE = re.compile(r"((?:postgres|mysql)[a-z]*(?:\+[a-z0-9]+)?://)[^\s'\"]*@", re.IGNORECASE)
"""A password that should have been quoted may hold anything; what follows the last @ is the host."""
_QUERY = re.compile(rf"([?&][^=&\s]*(?:{SECRET_KEY.pattern}|signature)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?|\bbearer\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE)
_COOKIE = re.compile(r"(\bcookie['\"]?\s*[:=]\s*)\S.*", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"((?:password|passwd|secret|token|api_?key)\w*(?:=|['\"]\s*[:=]\s*)['\"]?)(?![\s'\"*&])[^\s'\",;&)]+", re.IGNORECASE
)
"""`password=…` and `"password": "…"`, not `token: …`, which begins many a sentence."""
_SHAPES = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\bya29\.[\w.-]{8,}|\bAIza[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
"""What is secret wherever it stands: JSON Web Tokens, Google's access tokens and API keys, private keys."""


_RULES = (
    (("://",), _DATABASE, rf"\1{MASK}@"),
    (("://",), _USERINFO, rf"\1{MASK}@"),
    (("://",), _QUERY, rf"\1{MASK}"),
    (("authorization", "bearer"), _HEADER, rf"\1{MASK}"),
    (("cookie",), _COOKIE, rf"\1{MASK}"),
    (("passw", "secret", "token", "api_key", "apikey"), _ASSIGNED, rf"\1{MASK}"),
    (("eyj", "ya29.", "aiza", "private key"), _SHAPES, MASK),
)
"""Each with words of which a text must have one: to look for these costs a fraction of what the expressions do."""


def redacted(text: str) -> str:
    """The text with what is secret replaced by `***`: in URLs, headers and assignments, and tokens and keys by their shape."""
    lowered = text.lower()
    for words, pattern, replacement in _RULES:
        if any(word in lowered for word in words):
            text = pattern.sub(replacement, text)
    return text
