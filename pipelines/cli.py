"""The command line: `parallel-wavenet COMMAND`."""

import ast
import importlib
import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

import pipelines.headless  # noqa: F401  # before anything imports Matplotlib
from pipelines.arguments import prepare_words
from pipelines.generation.input_errors import InputsFailedError
from pipelines.help import PlainHelp, PrintingParser, mistake_in_words
from pipelines.plain_yaml import use_plain_yaml
from pipelines.ranks import rank
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
    "demo": "demo",
    "excerpts": "excerpts",
    "summarise": "summarise",
    "report": "report",
    "density": "density",
    "interpolate-rows": "interpolate",
}
"""Module of each command in `pipelines.commands`. The command's function has the command's name,
with underscores for hyphens."""

PACKAGES = ("data", "distill", "dsp", "flows", "student", "teacher")  # imported by commands
MAX_MESSAGE = 1000  # characters; a quoted value may have any length
WITH_RECIPE = ("prepare", "train-teacher", "distill", "ablate")
"""Commands that take a recipe."""
WITH_POSITIONAL = ("density",)
"""Commands that take some values by their place, without the name of an option."""


def load_command(name: str) -> Callable[..., None]:
    """Import the function of a command, a key of `COMMANDS`, with the modules that it needs."""
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
        chosen: the command to run, whose options are read from its signature; None for none. The
            other commands are not imported: the parser knows only their names and summaries.
    """
    use_plain_yaml()
    parser = PrintingParser(
        prog="parallel-wavenet",
        description="Train a WaveNet teacher and distil a parallel student from it.",
        exit_on_error=False,
        formatter_class=PlainHelp,
        allow_abbrev=False,  # a shortened option would pass by the checks of `prepare_words`
    )
    subcommands = parser.add_subcommands(required=True, dest="command")
    for name in COMMANDS:
        summary = summary_of(name)
        command = PrintingParser(
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
        arguments: the words after the program's name; default: the arguments of the process.
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
            _check_command(words)
            if chosen and "torch" not in sys.modules and rank() == 0:
                tell(f"parallel-wavenet {chosen}: loading PyTorch")
            _run(words, chosen)
            sys.stdout.flush()  # shows a full disk, or a reader who has closed the pipe
    except BrokenPipeError:
        return 141
    except (ValueError, OSError, TrainingError, ArgumentError) as error:
        tell(f"parallel-wavenet: {_one_line(error, chosen)}")
        return 1 if isinstance(error, InputsFailedError) else 2
    except ImportError:
        namesake = _namesake()
        if namesake is None:
            raise
        tell(
            f"parallel-wavenet: Python finds {namesake} before this program's package of that "
            "name: leave its folder out of PYTHONPATH, or run from another folder"
        )
        return 2
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


def _run(words: Sequence[str], chosen: str | None) -> None:
    """Parse the words and run the command `chosen`; without a command, only parse (--help)."""
    parser = build_parser(chosen)
    if chosen is None:  # --help and the like
        parser.parse_args(words)
        return
    command = load_command(chosen)
    with_recipe, with_places = chosen in WITH_RECIPE, chosen in WITH_POSITIONAL
    ready, paths = prepare_words(
        words[1:], command, with_recipe=with_recipe, with_places=with_places
    )
    parsed = parser.instantiate(parser.parse_args([chosen, *ready]))
    command(**dict(vars(parsed[chosen])) | paths)


def _check_command(words: Sequence[str]) -> None:
    """Refuse a first word that is neither a command nor an option such as --help."""
    known = f"one of {', '.join(COMMANDS)}; see parallel-wavenet --help"
    if not words:
        raise ValueError(f"no command, expected {known}")
    if words[0] not in COMMANDS and not words[0].startswith("-"):
        near = nearest_name(words[0], list(COMMANDS))
        raise ValueError(f"unknown command {words[0]!r}{near}, expected {known}")


def _namesake() -> str | None:
    """Return the file of another program's module that has the name of a package of this one."""
    for name in PACKAGES:
        found = getattr(sys.modules.get(name), "__file__", None)
        if found and Path(found).parent != Path(__file__).parents[1] / name:
            return str(found)
    return None


def _positionals(chosen: str) -> list[str]:
    """List the parameters of a command that are given by their place."""
    if chosen not in WITH_POSITIONAL:
        return []
    parameters = inspect.signature(load_command(chosen)).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def _one_line(error: Exception, chosen: str | None) -> str:
    """Describe an error in one line, with the nearest valid name for an unknown option."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ArgumentError):
        text = _parsing_mistake(text, chosen)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


def _parsing_mistake(text: str, chosen: str | None) -> str:
    """Rewrite a message of the parser in terms of what the user typed."""
    if chosen is None:
        return text
    unknown = re.search(r"does not accept option '([^']+)'|unrecognized arguments: (\S+)", text)
    if unknown is None:
        return mistake_in_words(text, load_command(chosen))
    word = (unknown[1] or unknown[2]).split("=")[0]
    name = word.removeprefix("--")
    if name in _positionals(chosen):
        return f"{name} goes without its name: parallel-wavenet {chosen} {name.upper()}"
    command = ArgumentParser(exit_on_error=False)
    command.add_function_arguments(load_command(chosen), as_group=False)
    # With its dashes, if it was typed: a single one, and those of a typographer, are mistakes, too.
    dashes = "" if unknown[1] else "--"
    known = [f"{dashes}{action.dest}" for action in command._actions if action.dest]
    return f"unknown option {word!r}{nearest_name(word, known)}"


if __name__ == "__main__":
    sys.exit(main())
