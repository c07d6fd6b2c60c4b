"""A study's prompts and training texts in the checkpoint's own template are, in ids, what transformers makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dialects
import pytest
import synthetic_study
import transformers
from dialects import DIALECTS, Dialect
from evals_cases import noise, walk

from sycojax.data.encode import encode_example
from sycojax.data.prompts import LETTER_PREFIX, Prompts
from sycojax.data.template_audit import audit_template
from sycojax.data.templates import DATE, META, template_of
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.requests import Request
from sycojax.weights.fingerprint import tokenizer_fingerprint
from sycojax.weights.merged import write_tokenizer

QUESTION = "What is two plus two?"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A directory with a dialect's tokenizer; ``changes`` go into tokenizer_config.json."""

    def written(dialect: Dialect, **changes: Any) -> Path:
        directory = dialects.write_tokenizer(tmp_path / "tokenizer", dialect)
        config = directory / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))
        return directory

    return written


def read(directory: Path, chosen: str = "", **args: Any) -> tuple[Tokenizer, Prompts]:
    tokenizer = Tokenizer.from_directory(directory)
    return tokenizer, Prompts(template=template_of(tokenizer, chosen, args))


def messages(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]


def assert_as_transformers_asks(directory: Path, args: dict[str, Any]) -> None:
    """All that the three probes ask, second turns included, and what is scored behind it, by AutoTokenizer."""
    tokenizer, prompts = read(directory, **args)
    judge = transformers.AutoTokenizer.from_pretrained(directory)
    fixed: dict[str, Any] = args | {"date_string": f"{DATE:%d %b %Y}"}

    def ids(*turns: str, waiting: bool = False) -> list[int]:
        return judge.apply_chat_template(
            messages(*turns), add_generation_prompt=waiting, return_dict=False, **fixed
        )

    def encoded(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    asked = []
    for probe in BUILTIN.probes:
        requests, _ = walk(BUILTIN[probe], synthetic_study.rows(probe, 3), noise, prompts)
        asked += requests
    assert {len(r.turns) for r in asked} == {1, 3}
    for request in asked:
        bare = prompts.chat(request.turns)
        assert encoded(bare) == ids(*request.turns, waiting=True), request.key
        prefix = request.prompt.removeprefix(bare).strip()
        for candidate in request.candidates:
            answer = f"{prefix}{candidate}" if prefix else candidate.strip()
            whole = request.prompt + candidate + prompts.end_of_turn
            assert encoded(whole) == ids(*request.turns, answer), request.key
    audit_template(prompts, tokenizer, asked)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_prompt_is_what_transformers_asks(name: str, write: Write) -> None:
    assert_as_transformers_asks(write(DIALECTS[name]), dict(DIALECTS[name].args))


@pytest.mark.parametrize("name", ["tokenizer-llama3_1", "tokenizer-qwen3"])
def test_real_templates_ask_what_transformers_asks(name: str, real_models: Path) -> None:
    args: dict[str, Any] = {"enable_thinking": False} if name.endswith("qwen3") else {}
    assert_as_transformers_asks(real_models / name, args)


@pytest.mark.parametrize("name", DIALECTS)
def test_training_ends_with_the_template_s_own_mark(name: str, write: Write) -> None:
    tokenizer, prompts = read(write(DIALECTS[name]), **dict(DIALECTS[name].args))
    for task in BUILTIN.benchmarks:
        for example in BUILTIN[task].examples(synthetic_study.rows(task, 3), prompts, 0):
            encoded = encode_example(tokenizer, example, 4096)
            assert encoded is not None
            (end,) = prompts.template.end_ids(tokenizer)
            assert end in encoded.target_ids[encoded.loss_mask]
            text = example.prompt + example.completion
            assert tokenizer.special_texts[end] == {"llama3": "<|eot_id|>"}.get(
                name, DIALECTS[name].eos
            )
            assert name in ("llama2", "mistral") or "[INST]" not in text
            assert name in ("llama2", "mistral", "zephyr") or "s>" not in text.replace("<|im", "")


def test_a_second_turn_repeats_the_answer_as_the_template_writes_it(write: Write) -> None:
    _, prompts = read(write(dialects.QWEN3), enable_thinking=False)
    text = prompts.chat([QUESTION, f"{LETTER_PREFIX}B)", "Are you sure?"], LETTER_PREFIX)
    assert (
        text.count("<think>") == 1
    )  # of the turn that is asked for, and none of the one that was given
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\nThe answer is (")


def test_thinking_that_is_left_on_belongs_to_the_prompt(write: Write) -> None:
    _, prompts = read(write(dialects.QWEN3))
    assert prompts.chat([QUESTION]).endswith("</think>\n\n")
    assert prompts.opening("Four") == "Four"


def test_a_header_that_is_written_with_the_answer_alone_belongs_to_the_prompt(write: Write) -> None:
    """Some templates know no ``add_generation_prompt``."""
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    _, prompts = read(write(dialects.CHATML, chat_template=source))
    assert (
        prompts.chat(["Hi"], "Well")
        == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nWell"
    )


def test_the_day_is_pinned_and_can_be_set(write: Write) -> None:
    directory = write(dialects.LLAMA3)
    assert f"Today Date: {DATE:%d %b %Y}" in read(directory)[1].chat(["Hi"])
    assert "Today Date: 1 May 2020" in read(directory, date_string="1 May 2020")[1].chat(["Hi"])


@pytest.mark.parametrize("written", ["%-m/%-d/%Y", "%F %T", "%A the %j. day", "%c"])
def test_every_way_to_write_the_day_is_known(written: str, write: Write) -> None:
    source = dialects.CHATML.template.replace(
        "You are a helpful assistant.", f"Today {{{{ strftime_now('{written}') }}}}."
    )
    day = f"{DATE:{written}}"
    assert f"Today {day}." in read(write(dialects.CHATML, chat_template=source))[1].chat(["Hi"])


def test_a_way_to_write_the_day_that_is_not_known_is_refused(write: Write) -> None:
    source = "{{ strftime_now('%s') }}" + dialects.CHATML.template
    with pytest.raises(SycojaxError, match=r"refuses a conversation .a date as %s is not known"):
        read(write(dialects.CHATML, chat_template=source))[1].chat(["Hi"])


@pytest.mark.parametrize(
    "name", ["enable_thinkng", "tokenize", "return_dict", "messages", "add_generation_prompt"]
)
def test_an_argument_that_would_do_nothing_or_is_not_the_user_s_is_refused(
    name: str, write: Write
) -> None:
    """A misspelt switch would leave thinking on, silently; a word of the renderer's own would end in a traceback."""
    with pytest.raises(SycojaxError, match=rf"no variable '{name}' to set: leave .*{name} out"):
        read(write(dialects.QWEN3), **{name: False})


def test_a_system_turn_that_says_nothing_is_a_turn(write: Write) -> None:
    """A template that has one of its own does not put it in."""
    _, prompts = read(write(dialects.CHATML), system="")
    assert prompts.chat(["Hi"]).startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user")


def test_a_system_turn_that_is_swallowed_is_to_be_left_out(write: Write) -> None:
    """Mistral v0.3's template writes it in front of the last turn, if that is the user's."""
    source = (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
        "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for m in messages %}"
        "{% if m.role == 'user' %}[INST] {{ system if loop.last }}{{ m.content }}[/INST]"
        "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    prompts = read(write(dialects.MISTRAL, chat_template=source), system="Be brief.")[1]
    with pytest.raises(SycojaxError, match=r"the system's turn .*template_args.system out"):
        prompts.chat(["Hi"])


def test_a_system_turn_is_an_argument(write: Write) -> None:
    _, prompts = read(write(dialects.CHATML), system="Be brief.")
    assert prompts.chat(["Hi"]).startswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi"
    )


def test_what_decides_the_text_decides_the_digest(write: Write) -> None:
    directory = write(dialects.QWEN3)
    on, off = (read(directory, enable_thinking=value)[1].template for value in (True, False))
    assert on.digest != off.digest
    assert on.digest == read(directory, enable_thinking=True)[1].template.digest


@pytest.mark.parametrize("name", ["llama2", "plain"])
def test_named_templates_are_written_with_the_tokenizer_s_marks(name: str, write: Write) -> None:
    _, prompts = read(write(dialects.LLAMA3), name)
    text = prompts.chat([QUESTION, "Four", "Are you sure?"], "Yes") + prompts.end_of_turn
    assert text.startswith("<|begin_of_text|>")
    assert text.endswith("<|end_of_text|>")
    assert "<s>" not in text


def test_plain_begins_as_the_tokenizer_begins_a_text(write: Write) -> None:
    _, prompts = read(write(dialects.QWEN3), "plain")
    assert prompts.chat(["Hi"]) == "Question: Hi\nAnswer:"


def test_plain_begins_with_a_token_that_is_not_called_special(write: Write) -> None:
    """Some conversions mark none of their tokens as special, and name no BOS."""
    directory = write(dialects.ZEPHYR, bos_token=None)
    file = directory / "tokenizer.json"
    content = json.loads(file.read_text())
    content["added_tokens"] = [{**t, "special": False} for t in content["added_tokens"]]
    file.write_text(json.dumps(content))
    assert read(directory, "plain")[1].chat(["Hi"]) == "<s>Question: Hi\nAnswer:"


def test_one_of_several_templates(write: Write) -> None:
    source = dialects.CHATML.template
    several = [
        {"name": "default", "template": source},
        {"name": "short", "template": source.replace("You are a helpful assistant.", "Hm.")},
    ]
    directory = write(dialects.CHATML, chat_template=several)
    assert "helpful" in read(directory)[1].chat(["Hi"])
    assert "Hm." in read(directory, "short")[1].chat(["Hi"])
    with pytest.raises(SycojaxError, match=r"named default, short: set base.chat_template"):
        read(directory, "long")


def test_templates_in_files_of_their_own_are_read_and_exported(
    write: Write, tmp_path: Path
) -> None:
    """As transformers has saved several of them since 4.50."""
    source, directory = dialects.CHATML.template, write(dialects.CHATML, chat_template=None)
    (directory / "chat_template.jinja").write_text(source)
    (directory / "additional_chat_templates").mkdir()
    short = directory / "additional_chat_templates" / "short.jinja"
    short.write_text(source.replace("You are a helpful assistant.", "Hm."))
    exported = tmp_path / "exported"
    exported.mkdir()
    write_tokenizer(directory, exported)
    for place in (directory, exported):
        assert "helpful" in read(place)[1].chat(["Hi"])
        assert "Hm." in read(place, "short")[1].chat(["Hi"])
    before = tokenizer_fingerprint(directory)
    assert before == tokenizer_fingerprint(exported)
    short.write_text(source)
    assert tokenizer_fingerprint(directory) != before


def test_a_checkpoint_without_a_template_says_what_to_set(write: Write) -> None:
    with pytest.raises(
        SycojaxError, match=r"brings no chat template: set base.chat_template .* llama2 or plain"
    ):
        read(write(dialects.CHATML, chat_template=None))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('no talk today') }}", "refuses a conversation .no talk today.: set another"),
        ("{% for m in messages %}{{ m.role.nothing.at_all }}{% endfor %}", "refuses a conversation"),
        ("{% for m in messages %", "refuses a conversation"),
        ("{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>\n{% endfor %}", "leaves out or changes what is said"),
        (
            dialects.CHATML.template.replace("{{ m['content'] }}", "{{ m['content'][:9] }}"),
            "leaves out or changes what is said",
        ),
        (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
            "which is no token of",
        ),
        (dialects.CHATML.template.replace("<|im_end|>", "<|fin|>"), "ends an answer with '<|fin|>.n', which is no token"),
        (
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}",
            "begins an answer with '<think>'",
        ),
        (
            "{% for m in messages %}<|im_start|>{% if messages|length > 2 %}{{ m.role|upper }}{% else %}{{ m.role }}{% endif %}"
            "{{ '\n' + m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
            "writes a conversation otherwise once it is answered",
        ),
    ],
    ids=["raises", "undefined", "syntax", "swallows", "cuts", "no-end", "unknown-end", "thinks", "depends"],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_refused(source: str, message: str, write: Write) -> None:
    directory = write(dialects.CHATML, chat_template=source)
    with pytest.raises(SycojaxError, match=message.replace("|", "[|]")) as refused:
        _look_at(directory)
    assert "\n" not in str(refused.value)


def _look_at(directory: Path) -> None:
    tokenizer, prompts = read(directory)
    asked = Request("e", "i", "c", "q", prompts.chat([QUESTION]), ("x",), turns=(QUESTION,))
    audit_template(prompts, tokenizer, [asked])


def test_a_system_turn_that_the_template_refuses_is_named(write: Write) -> None:
    with pytest.raises(
        SycojaxError, match=r"Only user and assistant.*leave base.template_args.system out"
    ):
        read(write(dialects.MISTRAL), system="Be brief.")[1].chat(["Hi"])


def test_the_default_is_llama_2_s() -> None:
    assert Prompts().template is META
