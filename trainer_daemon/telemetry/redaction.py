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


def redacted(text: str) -> str:
    """The text with user names and passwords in URLs, secret query parameters and bearer tokens replaced by `***`."""
    if "://" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", _DATABASE.sub(rf"\1{MASK}@", text))
        text = _QUERY.sub(rf"\1{MASK}", text)
    return _HEADER.sub(rf"\1{MASK}", text)
