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
"""Each command's module in `pipelines.commands`; its function has the command's name."""

MAX_MESSAGE = 1000  # characters; a quoted value may have any length
WITH_RECIPE = ("prepare", "train-teacher", "distill", "ablate")
WITH_POSITIONAL = ("density",)


def load_command(name: str) -> Callable[..., None]:
    """Import a command's function, and the modules that the command needs."""
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
        chosen: the command to run. Its options are read from its signature; other commands are not
            imported, and only their names are known.
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
        arguments: the words after the program's name; default: those of the process.
    Returns:
        0 after success; 1 if some inputs could not be used and the others are done; 2 after a
        user's mistake, which is described in one line on standard error; 128 plus the signal's
        number after a signal.
    """
    # Waiting threads of OpenMP spin by default, which makes them slow beside another program.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # PyTorch reads it once, when loaded
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = words[0] if words and words[0] in COMMANDS else None
    try:
        with termination_as_interrupt():
            if chosen and "torch" not in sys.modules and os.environ.get("RANK", "0") == "0":
                tell(f"parallel-wavenet {chosen}: loading")
            parser = build_parser(chosen)
            parsed = parser.instantiate(
                parser.parse_args(_with_recipe(_with_flags(_with_paths(words, chosen), chosen)))
            )
            load_command(parsed.command)(**dict(vars(parsed[parsed.command])))
            sys.stdout.flush()  # shows a full disk, or a reader who has closed the pipe
    except BrokenPipeError:
        return 141
    except (ValueError, OSError, TrainingError, ArgumentError) as error:
        tell(f"parallel-wavenet: {_one_line(error, chosen)}")
        return 1 if isinstance(error, InputsFailedError) else 2
    except Stopped as stopped:
        from pipelines.training.processes import rank  # the stopped run has loaded it

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
    """Refuse empty paths, which would mean the current folder, and expand `--NAME=~/...`.

    Shells expand ~ only at the beginning of a word.
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
    """Let `--flag` alone mean true if the command's parameter is a boolean."""
    flags = {f"--{p.name}" for p in _parameters(chosen) if p.annotation is bool}
    following = [*words[1:], ""]
    return [
        f"{word}=true" if word in flags and after not in ("true", "false") else word
        for word, after in zip(words, following, strict=True)
    ]


def _with_recipe(words: list[str]) -> list[str]:
    """Replace a recipe's name by its file, and add the default recipe if a command needs one."""
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
    """Return the parameters of the chosen command, or none."""
    return inspect.signature(load_command(chosen)).parameters.values() if chosen else ()


def _positionals(chosen: str) -> list[str]:
    """List the parameters of a command that are given by their position."""
    required = [p.name for p in _parameters(chosen) if p.default is inspect.Parameter.empty]
    return required if chosen in WITH_POSITIONAL else []


def _one_line(error: Exception, chosen: str | None) -> str:
    """Describe an error in one line, with the nearest valid name for an unknown option."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}..."
    unknown = re.search(r"does not accept option '([^']+)'|unrecognized arguments: (\S+)", text)
    if unknown and chosen is not None:
        name = (unknown[1] or unknown[2]).removeprefix("--").split("=")[0]
        if name in _positionals(chosen):
            return f"give {name} without its name: parallel-wavenet {chosen} {name.upper()}"
        command = ArgumentParser(exit_on_error=False)
        command.add_function_arguments(load_command(chosen), as_group=False)
        known = [key for action in command._actions for key in [action.dest] if key]
        text = f"unknown option {name!r}{nearest_name(name, known)}"
    return text


if __name__ == "__main__":
    sys.exit(main())
