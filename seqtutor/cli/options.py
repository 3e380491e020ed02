"""Command-line options out of config dataclasses: the core's, and those of the domain that was named."""

from __future__ import annotations

import dataclasses
import importlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click

from seqtutor.config import settings_class
from seqtutor.domain import Domain, available, domain_class
from seqtutor.errors import UserError
from seqtutor.files import read_toml
from seqtutor.objectives import load_objective
from seqtutor.option import types_of
from seqtutor.plugin.installed import installed
from seqtutor.signals import undisturbed

SEED = click.IntRange(0, 2**63 - 1)
Command = TypeVar("Command", bound=Callable[..., Any])
Arguments = TypeVar("Arguments")


def config_options(cls: type) -> Callable[[Command], Command]:
    """An option for each setting of a config dataclass; one that is not typed stays None."""

    def add(command: Command) -> Command:
        for parameter in reversed(_parameters(cls)):
            command.__dict__.setdefault("__click_params__", []).append(parameter)
        return command

    return add


def _parameters(cls: type, changed: dict[str, Any] | None = None) -> list[click.Option]:
    hints, options = types_of(cls), []
    for item in dataclasses.fields(cls):
        if "help" not in item.metadata:
            continue
        choices = item.metadata.get("choices")
        default = (changed or {}).get(item.name, item.default)
        shown = f"  [default: {default}]" if default not in ("", (), None) else ""
        flag, several = hints[item.name] is bool, hints[item.name] == Sequence[str]
        name = item.name.replace("_", "-")
        options.append(
            click.Option(
                [f"--{name}/--no-{name}" if flag else f"--{name}", item.name],
                type=str if several else hints[item.name],
                multiple=several,
                default=None,
                metavar="|".join(choices) if choices and len(choices) < 6 else None,
                help=item.metadata["help"] + ("" if flag else shown),
            )
        )
    return options


class DomainCommand(click.Command):
    """A command with the options of the domain that is named on its line, in its `--config` or in its `--resume`.

    Where the command takes an objective, the numbers of the one that is named, or is the domain's default, are options
    as well.
    """

    example = "a domain before -h to see its own options and defaults: --domain music -h"
    sections: ClassVar[Mapping[str, Sequence[str]]] = {"Options": ()}  # names by heading; none: all others
    settings: ClassVar[type | None] = None  # those of which a domain may have defaults of its own

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the domain and the objective before click reads the options, since they depend on them."""
        if not {"-h", "--help"} & set(args):
            with undisturbed():  # numpy begins threads when it is loaded
                importlib.import_module("numpy")
        domain = self.domain_named(args)
        ctx.meta["seqtutor.domain"] = domain_class(domain) if domain else None
        ctx.meta["seqtutor.objective"] = named("objective", args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if owners := _owners(error.option_name):
                said = f"No such option '{error.option_name}': it is one of domain {' and '.join(owners)}."
                raise click.NoSuchOption(error.option_name, said, ctx=ctx) from error
            raise

    def domain_named(self, args: Sequence[str]) -> str:
        """The name of the domain; empty where none is named."""
        return named("domain", args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own options, with the domain's defaults, the objective's numbers and the domain's options."""
        params, cls = super().get_params(ctx), ctx.meta.get("seqtutor.domain")
        own = [] if cls is None else _parameters(cls.Options)
        taken = {param.name for param in (*params, *own)}
        numbers = [option for option in self.numbers(ctx, cls) if option.name not in taken]
        return [*params[:-1], *numbers, *own, params[-1]]

    def numbers(self, ctx: click.Context, cls: type[Domain] | None) -> list[click.Option]:
        """Options for the numbers of all installed objectives; the help shows those of the one in use."""
        if not any(param.name == "objective" for param in self.params):
            return []
        usual = {} if cls is None else dict(cls.defaults)
        name = ctx.meta.get("seqtutor.objective") or usual.get("objective", "psi")
        used = {option.name: option for option in _parameters(load_objective(name).Settings, changed=usual)}
        for other in installed("objective"):  # a number of another objective is refused by name, not as unknown
            for option in _parameters(settings_class(other)):
                option.hidden = True
                used.setdefault(option.name, option)
        return list(used.values())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help of the options by sections, the domain's in one of their own."""
        cls: type[Domain] | None = ctx.meta.get("seqtutor.domain")
        own = [] if cls is None else _parameters(cls.Options)
        records = {p.name: record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))}
        _, last = records.popitem()  # -h, behind the first section
        if cls is not None and self.settings is not None:  # with the defaults of the domain
            usual = _parameters(self.settings, changed=dict(cls.defaults))
            records |= {option.name: record for option in usual if (record := option.get_help_record(ctx))}
        named = {name for names in self.sections.values() for name in names} | {option.name for option in own}
        others = [name for name in records if name not in named]
        for place, (heading, names) in enumerate(self.sections.items()):
            with formatter.section(heading):
                formatter.write_dl([*(records[name] for name in names or others), *([] if place else [last])])
        if cls is None:
            formatter.write_text(f"Name {self.example}")
            return
        with formatter.section(f"Options of the domain {cls.name}"):
            formatter.write_dl([record for option in own if (record := option.get_help_record(ctx))])


class ModelCommand(DomainCommand):
    """A command with the options of the domain whose items its first argument, a model, writes."""

    example = "a model before -h to see the options of its domain: music -h"

    def domain_named(self, args: Sequence[str]) -> str:
        """As DomainCommand.domain_named, of the first word that is no option and no value of one."""
        alone = {flag for p in self.params if isinstance(p, click.Option) and p.is_flag for flag in p.opts}
        for before, word in zip(["", *args], args, strict=False):
            takes_a_value = before.startswith("-") and before not in {*alone, "-h", "--help"} and "=" not in before
            if not word.startswith("-") and not takes_a_value:
                return self.domain_of(word)
        return ""

    def domain_of(self, word: str) -> str:
        """The domain whose items the model of that name writes."""
        from seqtutor.priors.files import domain_of

        return domain_of(word)


class ProfileCommand(ModelCommand):
    """A command with the options of the domain that its first argument, a config or a domain, names."""

    example = "a domain before -h to see its options: music -h"

    def domain_of(self, word: str) -> str:
        """The domain of that name, or the one of that config; empty where there is none, as the command itself says."""
        return word if word in available() else _in_file(word, "", "domain")


def named(key: str, args: Sequence[str]) -> str:
    """The value of a setting that `args`, or the file that they name, give; empty where they do not."""
    return _value(args, f"--{key}") or _in_file(_value(args, "--config"), _value(args, "--resume"), key)


def _owners(flag: str) -> list[str]:
    """The installed domains that have an option of that name; one that cannot be loaded has none."""
    name, owners = flag.lstrip("-").replace("-", "_"), []
    for domain in available():
        with suppress(UserError):
            fields = dataclasses.fields(domain_class(domain).Options)
            owners += [domain] if name in {f.name for f in fields} else []
    return owners


def _value(args: Sequence[str], name: str) -> str:
    for i, arg in enumerate(args):
        if arg.startswith(name + "="):
            return arg.removeprefix(name + "=")
        if arg == name and i + 1 < len(args):
            return args[i + 1]
    return ""


def _in_file(config: str, resume: str, key: str) -> str:
    path = Path(config) if config else Path(resume) / "config.toml"
    if not (config or resume) or not path.is_file():
        return ""  # the command itself reads the file, and says what is wrong with it
    try:
        name = read_toml(path).get(key)
    except UserError:
        return ""
    return name if isinstance(name, str) else ""


def one_taste(ctx: click.Context, option: click.Parameter, files: tuple[str, ...]) -> str:
    """The file of votes that was typed; empty for none. Raises UserError for a second, which click lets replace it."""
    if len(files) > 1:
        raise UserError(
            f"--taste takes one file of votes, not {' and '.join(files)}: for one taste of all, put them behind each "
            f"other (cat {shlex.join(files)} > all.jsonl); for a taste each, name them in a config, "
            '[terms.NAME] taste = "FILE"'
        )
    return "".join(files)


def arguments_of(cls: type[Arguments], given: Mapping[str, Any]) -> tuple[Arguments, dict[str, Any]]:
    """The options of a command's own, as a `cls` with a field for each; and what was typed for all others."""
    own = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # a dataclass, which no type says
    return cls(**{name: given[name] for name in own}), typed({k: v for k, v in given.items() if k not in own})


def config_file(config: str | None, resume: str | None) -> Path | None:
    """The file that settings are read from: that of the folder to `resume`, else the `config`; None for neither."""
    if resume:
        return Path(resume) / "config.toml"
    return Path(config) if config else None


def typed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def as_typed(options: Any) -> list[str]:
    """What was typed for the options of a domain that are not its defaults, word by word."""
    told = [(f.name.replace("_", "-"), getattr(options, f.name), f.default) for f in dataclasses.fields(options)]
    words: list[str] = []
    for name, value, usual in told:
        if isinstance(value, bool) and value != usual:
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value != usual:
            words += [f"--{name}", str(value)]
    return words


def gather(given: dict[str, Any], domain: type[Domain] | None) -> dict[str, Any]:
    """What was typed, as config keys: those of the domain under `options`."""
    known = {key: value for key, value in typed(given).items() if value != ()}
    names = {f.name for f in dataclasses.fields(domain.Options)} if domain else set()
    values = {key: value for key, value in known.items() if key not in names}
    options = {key: value for key, value in known.items() if key in names}
    return {**values, **({"options": options} if options else {})}
