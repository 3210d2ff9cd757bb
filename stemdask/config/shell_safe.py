"""What may reach a job script or a command line: nothing that a shell could interpret, and no second directive."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

#: A directive is a comment to the shell, where | and & are signs of a constraint.
_DIRECTIVE = re.compile(r"--[A-Za-z0-9_.,:=/@+%\[\]|&-]{1,200}\Z")
_WORD = re.compile(r"[A-Za-z0-9_.,:=/@+%-]{1,200}\Z")
_OPTION = re.compile(r"(#!)?[A-Za-z0-9_.,:=/@+% -]*\Z")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@:=,-]+\Z")
_MAIL = re.compile(r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,190}\Z")
_EXPRESSION = re.compile(r"[A-Za-z0-9_.,:=@+%\[\]|&*()-]{1,200}\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+-]{0,63}\Z")


def check_directive(text: str) -> str:
    """Return an sbatch directive unchanged; raise ValueError if it could be more than one."""
    if not _DIRECTIVE.match(text):
        raise ValueError(f"{text!r} is not a directive; write for example '--constraint=haswell'")
    return text


def check_path(text: str) -> str:
    """Return a path unchanged; raise ValueError if a job script can't contain it."""
    if not _PLAIN_PATH.match(text):
        raise ValueError(f"{text!r} can't be used in a job script; use a path of letters, digits and _ . / + @ : = , -")
    return text


def _expression(text: str) -> str:
    if not _EXPRESSION.match(text):
        raise ValueError(f"{text!r} can't be used in a directive; allowed are letters, digits and _.,:=@+%[]|&*()-")
    return text


def _mail(text: str) -> str:
    if not _MAIL.match(text):
        raise ValueError(f"{text!r} is not an e-mail address")
    return text


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(f"{text!r} is not a valid name for a batch system; allowed are letters, digits and _.,:@+-")
    return text


def _prologue(line: str, info: ValidationInfo) -> str:
    if info.context is not None and line in info.context.get("own_lines", ()):
        return line
    words = line.split(" ")
    command = " ".join(words[:2]) if words[0] == "module" else words[0]
    if command not in ("module load", "module purge", "module use", "source", "export") or not all(
        _WORD.match(word) for word in words
    ):
        raise ValueError(
            f"{line!r} is not allowed in the prologue of a config; write 'module load X', 'source /path/activate' or "
            "'export A=B', or put it into your own profile"
        )
    return line


def _own(command: str, info: ValidationInfo) -> str:
    if info.context is None or command not in info.context.get("own_lines", ()):
        raise ValueError(f"{command!r} is only allowed in your own profile, because it is run verbatim")
    return command


def _options(value: Any) -> Any:
    """Return keywords for dask-jobqueue unchanged; it quotes nothing, so each string in them is checked."""
    leaves = [value] if isinstance(value, str) else []
    if isinstance(value, dict):
        leaves = [*value]
        value = {key: _options(one) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        value = [_options(one) for one in value]
    for text in leaves:
        if not _OPTION.match(str(text)):
            raise ValueError(
                f"{text!r} can't be used in a job script; allowed are letters, digits, spaces and _.,:=/@+%-"
            )
    return value


Name = Annotated[str, AfterValidator(_name)]
Expression = Annotated[str, AfterValidator(_expression)]
Mail = Annotated[str, AfterValidator(_mail)]
PlainPath = Annotated[str, AfterValidator(check_path)]
Directive = Annotated[str, AfterValidator(check_directive)]
OwnCommand = Annotated[str, AfterValidator(_own)]
PrologueLine = Annotated[str, AfterValidator(_prologue)]
Options = Annotated[dict[str, Any], AfterValidator(_options)]
