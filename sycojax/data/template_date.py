"""The day that a chat template prints: always the same one, so that a study asked on two days is the same study."""

from __future__ import annotations

import datetime

DATE = datetime.date(2024, 7, 26)
_DIRECTIVES = (
    *(f"%{letter}" for letter in "aAbBcCdDeFGhHIjklmMprRSTuUVwWxXyYzZ"),
    *(f"%-{letter}" for letter in "deHIjklmMSy"),
)


def dated(source: str) -> str:
    """The template ``source`` with ``strftime_now``, where it asks for the date, put in as a macro that knows one day only.

    transformers lets no function through to a template. A directive that the macro does not know is refused, not printed.
    """
    if "strftime_now" not in source:
        return source
    written = "".join(f"|replace('{d}', {DATE.strftime(d)!r})" for d in _DIRECTIVES)
    # The empty expression keeps Jinja from taking a line feed away from the beginning of the template.
    return (
        f"{{%- macro strftime_now(format) -%}}{{%- set written = format{written} -%}}"
        "{% if '%' in written %}{{ raise_exception('a date as ' + format + ' is not known here') }}{% endif %}"
        f"{{{{ written }}}}{{%- endmacro %}}{{{{ '' }}}}{source}"
    )
