"""``--config=FILE`` and its overrides: read by ml-collections, turned into a checked config."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sycojax.errors import SycojaxError

if TYPE_CHECKING:
    from absl.flags import FlagValues

    from sycojax.config import StudyConfig

CONFIG_FILE = "such a file defines get_config(), which returns an ml_collections.ConfigDict, as configs/toy.py does"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a command line says about the config. The file is read only when a command asks for it."""

    config: str  # --config's value, "" where it is left out
    overrides: tuple[str, ...]  # --config.KEY=VALUE as typed; a value may be a word of its own
    adapters: tuple[str, ...]  # NAME=PATH of each --adapter
    probes: tuple[str, ...]  # FILE of each --probe
    command_line: str  # all of it, as typed

    @property
    def file(self) -> str:
        """The config file; behind a colon, ``--config`` may have an argument for its get_config()."""
        return self.config.partition(":")[0]

    def words(self) -> list[str]:
        """Flags that say the same but for ``--config`` itself, for another command line."""
        adapters = [f"--adapter={adapter}" for adapter in self.adapters]
        return [*self.overrides, *adapters, *(f"--probe={probe}" for probe in self.probes)]

    def study_config(self, default: StudyConfig | None = None) -> StudyConfig:
        """The checked config; ``default`` with the probes that are named where no file and no key is.

        Raises ``SycojaxError`` naming the file, key or value that is wrong.
        """
        from sycojax.config import StudyConfig  # which needs jax

        if default and not self.config and not self.overrides:
            return default.changed({"data.probes": self.probes})
        if not self.config:
            raise SycojaxError("--config=FILE is missing, for example --config=configs/toy.py")
        values = _read(self.config, self.overrides)
        if self.probes:  # before the names of evaluations are checked
            values.data.probes = (*values.data.probes, *self.probes)
        config = StudyConfig.from_config_dict(values)
        return config.changed({"score.adapters": (*config.score.adapters, *self.adapters)})


def _read(config: str, overrides: Sequence[str]) -> Any:
    """The ``ConfigDict`` of a file, with what is overridden in it."""
    from absl import flags
    from ml_collections import config_flags

    overrides, args = _template_args(overrides)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "config file", flag_values=values)
    program = ["sycojax", f"--config={config}", *overrides]
    try:
        with _arguments(program):
            rest = values(program)[1:]
            # A file that could not be read says so only when it is used.
            if not hasattr(values.config, "to_dict"):
                returned = type(values.config).__name__
                raise SycojaxError(
                    f"get_config() of the config file returns a {returned} ({CONFIG_FILE})"
                )
            _refuse_joined(overrides, values)
            if args:
                with values.config.unlocked():
                    values.config.base.template_args.update(args)
    except (AttributeError, KeyError, IndexError) as error:
        said: object = error
        while isinstance(said, Exception):  # ml-collections raises one error around another
            said = said.args[0] if said.args else ""
        key, _, hint = str(said).partition("\n")
        if not overrides:
            failed = f"{type(error).__name__}: {key}"
            raise SycojaxError(f"the config file fails: {failed} ({CONFIG_FILE})") from error
        _read(config, ())  # a file that fails by itself says so here
        hint = f" ({hint.rstrip('.')})" if hint else ""
        raise SycojaxError(f"unknown config key {key} in {' '.join(overrides)}{hint}") from error
    except (SyntaxError, NameError, ImportError) as error:
        raise SycojaxError(f"the config file fails: {type(error).__name__}: {error}") from error
    except (flags.Error, TypeError, ValueError) as error:
        raise SycojaxError(str(error)) from error
    except OSError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise SycojaxError(f"cannot read the config file {config}: {reason}") from error
    if rest:
        raise SycojaxError(f"unexpected argument {rest[0]!r} (flags are written --name=value)")
    return values.config


def _template_args(overrides: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The other overrides, and those of ``base.template_args``, whose names ml-collections cannot know beforehand."""
    start, others, found = "--config.base.template_args.", [], {}
    words = iter(overrides)
    for word in words:
        if not word.startswith(start):
            others.append(word)
            continue
        name, equals, value = word.removeprefix(start).partition("=")
        text = value if equals else next(words, "")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return others, found


@contextlib.contextmanager
def _arguments(program: Sequence[str]) -> Iterator[None]:
    """ml-collections looks for ``--config.x=y`` in ``sys.argv`` itself, whatever it is given."""
    before, sys.argv = sys.argv, list(program)
    try:
        yield
    finally:
        sys.argv = before


def _refuse_joined(overrides: Sequence[str], values: FlagValues) -> None:
    """ml-collections joins the values of a list key that is given twice, where any other key keeps the last."""
    names = [word.removeprefix("--").partition("=")[0] for word in overrides if word[:2] == "--"]
    for name in dict.fromkeys(names):
        if names.count(name) > 1 and isinstance(values[name].value, list):
            raise SycojaxError(
                f"--{name} is given {names.count(name)} times: write its list once, --{name}=A,B"
            )
