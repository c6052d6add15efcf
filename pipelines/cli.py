"""The command line: `parallel-wavenet COMMAND`."""

import os
import re
import sys
from collections.abc import Callable, Sequence

from jsonargparse import ArgumentError, ArgumentParser

from flows.config import nearest_name
from pipelines import commands
from pipelines.recipe import find_recipe
from pipelines.training import TrainingError

COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": commands.prepare,
    "train-teacher": commands.train_teacher,
    "distill": commands.distill,
    "generate": commands.generate,
    "evaluate": commands.evaluate,
    "benchmark": commands.benchmark,
    "excerpts": commands.excerpts,
    "summarise": commands.summarise,
}
WITH_RECIPE = ("prepare", "train-teacher", "distill")


def build_parser() -> ArgumentParser:
    """Build the parser from the signatures and docstrings of the commands."""
    parser = ArgumentParser(
        prog="parallel-wavenet",
        description="Train a WaveNet teacher and distil a parallel student from it.",
        exit_on_error=False,
    )
    subcommands = parser.add_subcommands(required=True, dest="command")
    for name, function in COMMANDS.items():
        summary = (function.__doc__ or "").splitlines()[0]
        command = ArgumentParser(description=summary, exit_on_error=False)
        command.add_function_arguments(function, as_group=False)
        subcommands.add_subcommand(name, command, help=summary)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; default: from the process.
    Returns:
        0, or 2 after a mistake, which is told in one line on standard error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    try:
        parsed = parser.instantiate(parser.parse_args(_with_recipe(words)))
        options = dict(vars(parsed[parsed.command]))
        COMMANDS[parsed.command](**options)
    except (ValueError, OSError, TrainingError, ArgumentError) as error:
        print(f"parallel-wavenet: {_one_line(error, words)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("parallel-wavenet: interrupted; the same command resumes", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.close(sys.stdout.fileno())
        return 141
    return 0


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


def _one_line(error: Exception, words: Sequence[str]) -> str:
    """Say what is wrong in one line, with the nearest valid name for an unknown one."""
    text = " ".join(str(error).split()) or type(error).__name__
    unknown = re.search(r"does not accept option '([^']+)'|unrecognized arguments: (\S+)", text)
    if unknown and words and words[0] in COMMANDS:
        name = (unknown[1] or unknown[2]).removeprefix("--").split("=")[0]
        command = ArgumentParser(exit_on_error=False)
        command.add_function_arguments(COMMANDS[words[0]], as_group=False)
        known = [key for action in command._actions for key in [action.dest] if key]
        text = f"unknown option {name!r}{nearest_name(name, known)}"
    return text


if __name__ == "__main__":
    sys.exit(main())
