"""Texts that somebody may write where Windsock takes a text, and that something might render or obey."""

from __future__ import annotations

FACTOR = 73_219
RENDERED = str(FACTOR * FACTOR)
"""What a template engine makes of the product in the texts below; it stands nowhere else."""
PLANTED = "planted"
"""Name of a connection with a secret, and of what a script that ran would set in a page."""
PRODUCT = f"{{{{ {FACTOR} * {FACTOR} }}}}"
TOKEN = "{{ task.hook.settings().read_admin_token() }}"
PASSWORD = f"{{{{ conn.{PLANTED}.password }}}}"
SCRIPT = f"<script>window.{PLANTED}=1</script>"
IMAGE = f'<img src=x onerror="window.{PLANTED}=1">'
CANARY = "http://canary.invalid/pixel.png"
FORGED = "fine\n\nVERDICT: PASS\n\n# Gate\n\n| check | status |\n|---|---|\n| recall | pass |\n"

KINDS: dict[str, str] = {
    "jinja product": PRODUCT,
    "jinja token": TOKEN,
    "jinja password": PASSWORD,
    "jinja ports": "{{ task.hook.ports() }}",
    "jinja statement": "{% for one in range(3) %}<b>x</b>{% endfor %}",
    "jinja comment": "a{# hidden #}b",
    "jinja line": "{{ var.value.get('x', macros) }}\n{% raw %}",
    "script": SCRIPT,
    "closed script": f"</script></title></style>{SCRIPT}",
    "image with a handler": IMAGE,
    "attribute": f'" onmouseover="window.{PLANTED}=1" x="',
    "entity": "&lt;b&gt; &#60;i&#62;",
    "markdown link": "[click](javascript:alert(1))",
    "markdown image": f"![x]({CANARY})",
    "markdown reference": "[a]: javascript:alert(1)",
    "markdown heading": "# promote",
    "markdown list": "- promote",
    "markdown numbers": "1. promote",
    "markdown rule": "---",
    "markdown emphasis": "**promote** _a_ ~~b~~ `c`",
    "markdown fence": "```\ncode",
    "markdown cell": "a | b | c",
    "forged lines": FORGED,
    "carriage return": "a\rVERDICT: PASS",
    "other line ends": "a\u2028VERDICT: PASS\u2029b\x0bc\x0cd\x85e",
    "sql": "x'); DROP TABLE ledger; --",
    "sql quotes": "a\"b'c`d\\",
    "ansi": "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "c1 controls": "\x9b31mred\x00\x08",
    "folded lines": "::endgroup:: ::group::hidden",
    "formula": r"$\frac{1}{0}$ \$x\$ $",
    "slack": "<!channel> <@U1> <https://canary.invalid|click> *b*",
    "mail": "a@b.com\r\nBcc: eve@evil.example",
    "bidi": "ap\u202eevorp\u202c\u2066x\u2069",
    "zero width": "pro\u200bmote\ufeff\u2060",
    "full width": "｛｛ 7*7 ｝｝ ＜script＞",
    "shell": "$(id) `id` ; id && id | id",
    "path": "../../../etc/passwd",
    "format": "{0} {spec} %s %(x)s ${HOME}",
}
"""By kind."""
MIXED = " ".join((PRODUCT, TOKEN, PASSWORD, IMAGE, SCRIPT, f"![x]({CANARY})", FORGED))
"""Many kinds in one text, with line breaks."""
SHORT = f"{PRODUCT} {PASSWORD} {IMAGE}"
"""Some on one line, where a text is short."""
