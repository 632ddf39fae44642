"""Problems and findings as people and programs read them: one module a format.

Here are the forms that every command may need; `github`, `sarif` and `junit` are imported when they are asked for.
"""

from __future__ import annotations

from runner.spec.render.concise import render_concise
from runner.spec.render.json import to_json
from runner.spec.render.text import render_text

__all__ = ["render_concise", "render_text", "to_json"]
