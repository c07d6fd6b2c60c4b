"""How a conversation is written down for a chat model: by its own Jinja template, rendered by transformers.

A checkpoint brings a template of its own. Two more have names, for checkpoints without one: ``llama2``, Meta's format
for Llama 2, and ``plain``, lines of questions and answers. All of them go through the same renderer.

Where an answer begins is the template's business. What is asked is a rendering that waits for an answer; what an
answer adds is what a rendering *with* it has more than that. So nothing here knows marks, spaces or headers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sycojax.data.encode import shared_length
from sycojax.data.template_date import DATE, dated
from sycojax.errors import SycojaxError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sycojax.data.tokenizer import Tokenizer

Argument = str | int | float | bool

LLAMA2 = (
    "{% for m in messages %}"
    "{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }} {{ eos_token }}"
    "{% else %}{{ raise_exception('the template llama2 has no place for a system turn') }}{% endif %}"
    "{% endfor %}"
)
PLAIN = (
    "{{ text_start }}{% for m in messages %}"
    "{% if m.role == 'user' %}Question: {{ m.content }}\nAnswer:"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token if loop.last else '\n\n' }}"
    "{% else %}{{ raise_exception('the template plain has no place for a system turn') }}{% endif %}"
    "{% endfor %}"
)
# What else shows that a model has begun the user's next turn itself.
NAMED = {"llama2": (LLAMA2, ("[INST]",)), "plain": (PLAIN, ("\nQuestion:",))}

# Variables that are not the user's, besides what ``apply_chat_template`` is given.
_SET_ELSEWHERE = ("conversations", "messages", "raise_exception", "strftime_now", "text_start")
SYSTEM = "system"  # the one argument that is no variable of the template: a system turn in front of everything
# An answer that no template writes by itself, to see what is written around one.
_PROBE = "Xylophone"


@dataclasses.dataclass(frozen=True)
class Template:
    """A Jinja chat template with all that it is rendered with.

    ``tokens``: the texts of the tokenizer's special tokens by role (``bos_token``, ``eos_token``, ...), and
    ``text_start``, what the tokenizer puts in front of a text by itself. ``args`` are ``base.template_args``.
    """

    name: str  # "own", or a key of NAMED
    source: str
    tokens: Mapping[str, str]
    args: Mapping[str, Argument] = dataclasses.field(default_factory=dict)
    origin: str = "the chat template"  # what messages call it

    def named(self, name: str) -> Template:
        """The template of that name, with the same tokens; the same one every time, so that it is looked at once."""
        return self._named[name]

    @cached_property
    def _named(self) -> dict[str, Template]:
        return {
            name: dataclasses.replace(
                self, name=name, source=source, args={}, origin=f"the template {name}"
            )
            for name, (source, _) in NAMED.items()
        }

    @property
    def digest(self) -> str:
        """Of all that decides what is rendered."""
        said = json.dumps([self.source, dict(self.tokens), dict(self.args), DATE.isoformat()])
        return hashlib.sha256(said.encode()).hexdigest()

    def description(self) -> dict[str, Any]:
        """What a study's records say of it."""
        return {
            "name": self.name, "digest": self.digest, "arguments": dict(self.args), "date": DATE.isoformat(),
            "end of an answer": self.end_of_turn, "source": self.source,
        }  # fmt: skip

    @property
    def text_start(self) -> str:
        """What the tokenizer puts in front of a text that is no conversation."""
        return self.tokens.get("text_start", "")

    def asked(self, turns: Sequence[str], beginning: str = "") -> str:
        """User and assistant turns, ending with a user's, up to where the assistant goes on after ``beginning``."""
        if len(turns) % 2 == 0:
            raise SycojaxError("a prompt must end with a user turn")
        text = self._waiting(turns) + self._frame.header
        return text + self.first_words(beginning) if beginning else text

    def first_words(self, text: str) -> str:
        """What an answer that begins with ``text`` adds to ``asked(turns)``."""
        return self._frame.space + (text.strip() if self._frame.strips else text)

    @property
    def end_of_turn(self) -> str:
        """What follows a complete answer."""
        return self._frame.end

    def end_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The token that ends an answer; none where the template ends one with ordinary text or not at all."""
        end = self.end_of_turn.strip()
        ids = tokenizer.encode(end, add_special_tokens=False)
        added = _raw(tokenizer).added_tokens_decoder
        return (ids[0],) if ids and ids[0] in added and end.startswith(str(added[ids[0]])) else ()

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a generated answer."""
        end = self.end_of_turn.strip()
        others = NAMED[self.name][1] if self.name in NAMED else ()
        return (*((end,) if end else ()), *others)

    def conversation(self, turns: Sequence[str]) -> str:
        """Turns that end with the assistant's, as the template writes them when all is said.

        Raises ``SycojaxError`` where it refuses them or leaves some of it out.
        """
        return self._rendered(turns, waiting=False)

    def token_ids(self, tokenizer: Tokenizer, turns: Sequence[str]) -> list[int]:
        """The ids of ``conversation(turns)`` by transformers' ``apply_chat_template``, for comparison."""
        variables = {**self.args, "text_start": self.text_start}
        variables.pop(SYSTEM, None)
        tokenize: Any = _raw(tokenizer).apply_chat_template
        return tokenize(
            self._messages(turns),
            chat_template=dated(self.source),
            tokenize=True,
            return_dict=False,
            **variables,
        )

    def _waiting(self, turns: Sequence[str]) -> str:
        return self._rendered(turns, waiting=True)

    @cached_property
    def _frame(self) -> _Frame:
        """What the template writes around an answer. It is looked at once; ``template_audit`` checks every kind of prompt."""
        question, answer = "What is it?", f" {_PROBE} "
        before, whole = self._waiting([question]), self.conversation([question, answer])
        at = whole.find(_PROBE)
        if not whole.startswith(before) or at < len(before):
            shared = shared_length(before, whole)
            raise SycojaxError(
                f"{self.origin} begins an answer with {before[shared:]!r} when it asks for one and with "
                f"{whole[shared : shared + 40]!r} when there is one, so no text can be scored as an answer. For a model that "
                "thinks first, try --config.base.template_args.enable_thinking=False; or name another template in "
                "base.chat_template"
            )
        lead, end = whole[len(before) : at], whole[at + len(_PROBE) :]
        strips = not (lead.endswith(" ") and end.startswith(" ") and self._keeps_spaces(question))
        if not strips:
            lead, end = lead[:-1], end[1:]
        header = lead.rstrip(" ")
        return _Frame(header, lead[len(header) :], end, strips)

    def _keeps_spaces(self, question: str) -> bool:
        """Whether spaces around an answer stay: with them the rendering is two characters longer than without."""
        bare, spaced = (self.conversation([question, a]) for a in (_PROBE, f" {_PROBE} "))
        return len(spaced) == len(bare) + 2

    def _messages(self, turns: Sequence[str]) -> list[dict[str, str]]:
        # One that says nothing is a turn, too: a template may have one of its own where there is none.
        first = (
            [{"role": "system", "content": str(self.args[SYSTEM])}] if SYSTEM in self.args else []
        )
        roles = ("user", "assistant")
        return first + [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]

    def _rendered(self, turns: Sequence[str], *, waiting: bool) -> str:
        import jinja2
        from transformers.utils.chat_template_utils import render_jinja_template

        messages = self._messages(turns)
        variables = {name: value for name, value in self.args.items() if name != SYSTEM}
        mend = (
            "leave base.template_args.system out"
            if SYSTEM in self.args
            else "set another base.chat_template"
        )
        try:
            (text,), _ = render_jinja_template(
                [messages],
                chat_template=dated(self.source),
                add_generation_prompt=waiting,
                **{**self.tokens, **variables},
            )
        except (
            jinja2.TemplateError,
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            RecursionError,
        ) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise SycojaxError(f"{self.origin} refuses a conversation ({said}): {mend}") from error
        for message in messages:
            if message["content"].strip() not in text:
                raise SycojaxError(
                    f"{self.origin} leaves out or changes what is said: the {message['role']}'s turn "
                    f"{message['content'][:60]!r} is not in what it writes: {mend}"
                )
        return text


# Llama 2's own: the default of ``Prompts``.
META = Template(
    "llama2", LLAMA2, {"bos_token": "<s>", "eos_token": "</s>", "text_start": "<s>"}, origin="the template llama2"
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Frame:
    """What stands around an answer: a header that belongs to the prompt, spaces that belong to its first word, its end."""

    header: str
    space: str
    end: str
    strips: bool  # white space around an answer goes


def template_of(tokenizer: Tokenizer, chosen: str, args: Mapping[str, Argument]) -> Template:
    """The template of ``base.chat_template``: empty for the checkpoint's own, else a name.

    Raises ``SycojaxError`` where the checkpoint has none, or none of that name, or where it does not read one of ``args``.
    """
    raw = _raw(tokenizer)
    special = {role: text for role, text in raw.special_tokens_map.items() if isinstance(text, str)}
    start = "".join(raw.convert_ids_to_tokens(tokenizer.start_ids))
    tokens = {**special, "text_start": start}
    if chosen in NAMED:
        if chosen == "llama2" and not (tokenizer.bos_token and tokenizer.eos_token):
            raise SycojaxError(
                f"base.chat_template=llama2 needs BOS and EOS tokens, and {tokenizer.source} does not have both: use its own "
                "template or plain"
            )
        source, origin = NAMED[chosen][0], f"the template {chosen}"
        return _taking(raw, Template(chosen, source, tokens, dict(args), origin))
    own = raw.chat_template
    if not own:
        raise SycojaxError(
            f"{tokenizer.source} brings no chat template: set base.chat_template to the one that the model was trained with, "
            "llama2 or plain"
        )
    named = {"default": own} if isinstance(own, str) else own
    if not isinstance(named, dict) or not all(isinstance(text, str) for text in named.values()):
        raise SycojaxError(
            f"{tokenizer.source}: its chat_template is neither a text nor texts with names"
        )
    if (chosen or "default") not in named:
        raise SycojaxError(
            f"{tokenizer.source} has chat templates named {', '.join(sorted(named))}: set base.chat_template to one of these, to "
            "llama2 or to plain"
        )
    source = named[chosen or "default"]
    origin = f"the chat template of {tokenizer.source}"
    return _taking(raw, Template("own", source, tokens, dict(args), origin))


def _taking(raw: PreTrainedTokenizerFast, template: Template) -> Template:
    """``template``; refused where an argument would do nothing, since it does not read it, or is set by the renderer."""
    elsewhere = {*_SET_ELSEWHERE, *inspect.signature(raw.apply_chat_template).parameters}
    for name in template.args:
        read = re.search(rf"\b{re.escape(name)}\b", template.source)
        if name != SYSTEM and (not read or name in elsewhere):
            raise SycojaxError(
                f"{template.origin} has no variable {name!r} to set: leave base.template_args.{name} out"
            )
    return template


def _raw(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    if tokenizer.raw is None:
        raise ValueError(f"{tokenizer.source} was made of two functions and knows no chat template")
    return tokenizer.raw
