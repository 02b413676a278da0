"""The report of a run as one self-contained page: no network, no script, readable on a phone, light and dark.

The step that evaluates renders it from the document it writes; the daemon renders it again from the same document once there is a
decision. So this package needs nothing but the standard library and jinja2, reads untrusted documents, and escapes what it shows.
"""
