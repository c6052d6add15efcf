"""The command line: `parallel-wavenet COMMAND`."""

import ast
import importlib
import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

import pipelines.headless  # noqa: F401  # before anything imports Matplotlib
from pipelines.generation.input_errors import InputsFailedError
from pipelines.help import PlainHelp
from pipelines.plain_yaml import use_plain_yaml
from pipelines.ranks import rank
from pipelines.recipes import find_recipe
from pipelines.standard_streams import drop_unwritable_output, open_standard_streams, tell
from pipelines.training.errors import TrainingError
from pipelines.training.signals import Stopped, Terminated, termination_as_interrupt
from storage.configuration import nearest_name

COMMANDS = {
    "prepare": "prepare",
    "train-teacher": "train",
    "distill": "train",
    "ablate": "ablate",
    "generate": "generate",
    "interpolate": "interpolate",
    "evaluate": "evaluate",
    "benchmark": "benchmark",
    "export": "export",
    "excerpts": "excerpts",
    "summarise": "summarise",
    "report": "report",
    "density": "density",
    "interpolate-rows": "interpolate_rows",
}
"""Each command's module in `pipelines.commands`, which has a function of the command's name."""

MAX_MESSAGE = 1000  # characters; a message may quote a value of any length
WITH_RECIPE = ("prepare", "train-teacher", "distill", "ablate")
WITH_POSITIONAL = ("density",)


def load_command(name: str) -> Callable[..., None]:
    """Import a command's function, and with it all that the command needs."""
    module = importlib.import_module(f"pipelines.commands.{COMMANDS[name]}")
    function: Callable[..., None] = getattr(module, name.replace("-", "_"))
    return function


def summary_of(name: str) -> str:
    """Read the first line of a command's docstring, without importing the command."""
    source = resources.files("pipelines.commands").joinpath(f"{COMMANDS[name]}.py").read_text()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name.replace("-", "_"):
            return (ast.get_docstring(statement) or "").splitlines()[0]
    raise LookupError(f"pipelines.commands.{COMMANDS[name]} has no command {name}")


def build_parser(chosen: str | None = None) -> ArgumentParser:
    """Build the parser from the docstrings of the commands.

    Args:
        chosen: the command to run, whose options are read from its signature; the other commands
            are not imported, and are known by name alone.
    """
    use_plain_yaml()
    parser = ArgumentParser(
        prog="parallel-wavenet",
        description="Train a WaveNet teacher and distil a parallel student from it.",
        exit_on_error=False,
        formatter_class=PlainHelp,
    )
    subcommands = parser.add_subcommands(required=True, dest="command")
    for name in COMMANDS:
        summary = summary_of(name)
        command = ArgumentParser(
            description=summary, exit_on_error=False, formatter_class=PlainHelp
        )
        if name == chosen:
            command.add_function_arguments(
                load_command(name), as_group=False, as_positional=name in WITH_POSITIONAL
            )
        subcommands.add_subcommand(name, command, help=summary)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; default: from the process.
    Returns:
        0; 1 if some inputs could not be used and the others are done; 2 after a mistake, which is
        told in one line on standard error; 128 and its number after a signal.
    """
    # Threads of OpenMP spin while they wait, which slows them many times beside another program.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when PyTorch is loaded
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = words[0] if words and words[0] in COMMANDS else None
    try:
        with termination_as_interrupt():
            if chosen and "torch" not in sys.modules and rank() == 0:
                tell(f"parallel-wavenet {chosen}: loading")
            parser = build_parser(chosen)
            parsed = parser.instantiate(
                parser.parse_args(_with_recipe(_with_flags(_with_paths(words, chosen), chosen)))
            )
            load_command(parsed.command)(**dict(vars(parsed[parsed.command])))
            sys.stdout.flush()  # or a full disk, or a reader who has left, would go unnoticed
    except BrokenPipeError:
        return 141
    except (ValueError, OSError, TrainingError, ArgumentError) as error:
        tell(f"parallel-wavenet: {_one_line(error, chosen)}")
        return 1 if isinstance(error, InputsFailedError) else 2
    except Stopped as stopped:
        if rank() == 0:
            tell(f"parallel-wavenet: {stopped}; the same command resumes")
        return 128 + stopped.received
    except KeyboardInterrupt as interrupt:
        resumes = "; the same command resumes" if words and words[0] in WITH_RECIPE else ""
        tell(f"parallel-wavenet: interrupted{resumes}")
        received = interrupt.received if isinstance(interrupt, Terminated) else signal.SIGINT
        return 128 + received
    finally:
        drop_unwritable_output()
    return 0


def _with_paths(words: list[str], chosen: str | None) -> list[str]:
    """Refuse empty paths, which would stand for the folder at hand; expand `--NAME=~/...`.

    Shells expand ~ at the beginning of a word alone.
    """
    names = {f"--{p.name}" for p in _parameters(chosen) if "Path" in str(p)}
    resolved = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in names and not (value if equals else after):
            raise ValueError(f"{name} is empty, expected a path")
        is_home = name in names and value.startswith("~/")
        resolved.append(f"{name}={Path(value).expanduser()}" if is_home else word)
    return resolved


def _with_flags(words: list[str], chosen: str | None) -> list[str]:
    """Let `--flag` alone say true where a command takes a boolean."""
    flags = {f"--{p.name}" for p in _parameters(chosen) if p.annotation is bool}
    following = [*words[1:], ""]
    return [
        f"{word}=true" if word in flags and after not in ("true", "false") else word
        for word, after in zip(words, following, strict=True)
    ]


def _with_recipe(words: list[str]) -> list[str]:
    """Replace a recipe's name by its file; add the default recipe where a command needs one."""
    resolved, named = [], False
    for i, word in enumerate(words):
        if i > 0 and words[i - 1] == "--recipe":
            resolved.append(str(find_recipe(word)))
            named = True
        elif word.startswith("--recipe="):
            resolved.append(f"--recipe={find_recipe(word.removeprefix('--recipe='))}")
            named = True
        else:
            resolved.append(word)
    if words and words[0] in WITH_RECIPE and not named and "--help" not in words:
        resolved[1:1] = ["--recipe", str(find_recipe("allison"))]
    return resolved


def _parameters(chosen: str | None) -> Iterable[inspect.Parameter]:
    """Parameters of the command that is asked for, if there is one."""
    return inspect.signature(load_command(chosen)).parameters.values() if chosen else ()


def _positionals(chosen: str) -> list[str]:
    """Parameters of a command that are given by their place."""
    required = [p.name for p in _parameters(chosen) if p.default is inspect.Parameter.empty]
    return required if chosen in WITH_POSITIONAL else []


def _one_line(error: Exception, chosen: str | None) -> str:
    """Say what is wrong in one line, with the nearest valid name for an unknown one."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}..."
    unknown = re.search(r"does not accept option '([^']+)'|unrecognized arguments: (\S+)", text)
    if unknown and chosen is not None:
        name = (unknown[1] or unknown[2]).removeprefix("--").split("=")[0]
        if name in _positionals(chosen):
            return f"{name} goes without its name: parallel-wavenet {chosen} {name.upper()}"
        command = ArgumentParser(exit_on_error=False)
        command.add_function_arguments(load_command(chosen), as_group=False)
        known = [key for action in command._actions for key in [action.dest] if key]
        text = f"unknown option {name!r}{nearest_name(name, known)}"
    return text


if __name__ == "__main__":
    sys.exit(main())
