"""What may reach a job script or a command line: nothing that a shell could interpret, and no second directive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

#: A directive is a comment to the shell, where | and & are signs of a constraint.
_DIRECTIVE = re.compile(r"--[A-Za-z0-9_.,:=/@+%\[\]|&-]{1,200}\Z")
_WORD = re.compile(r"[A-Za-z0-9_.,:=/@+%-]{1,200}\Z")
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_SIZE = re.compile(r"[0-9]{1,12} ?[kKMGT]?i?[bB]?\Z")
_RESOURCES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:=/@+%-]{0,199}\Z")
#: What a config may hand to dask-jobqueue, which quotes nothing, and what each text of it looks like.
_OPTIONS = {
    "death_timeout": _NUMBER,
    "disk": _SIZE,
    "job_cpu": _NUMBER,
    "job_directives_skip": re.compile(r"-{1,2}[A-Za-z0-9_.,:=/@+%-]{1,200}\Z"),
    "job_mem": _SIZE,
    "lsf_units": re.compile(r"[kmgtKMGT][bB]\Z"),
    "mem": _NUMBER,
    "memory_per_core_property_name": re.compile(r"[A-Za-z0-9_]{1,64}\Z"),
    "ncpus": _NUMBER,
    "resource_spec": _RESOURCES,
    "scheduler_options": {"port": _NUMBER},
    "shebang": re.compile(r"#!(/usr)?/bin/(env )?(ba|z|k)?sh( -l)?\Z"),
}
_PLAIN_PATH = re.compile(r"(?!-)[A-Za-z0-9_./+@:=,-]+\Z")  # what begins with - is an option
_MAIL = re.compile(r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,190}\Z")
_EXPRESSION = re.compile(r"(?!-)[A-Za-z0-9_.,:=@+%\[\]|&*()-]{1,200}\Z")
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


def _options(options: dict[str, Any], known: Mapping[str, Any] = _OPTIONS) -> dict[str, Any]:
    for key, value in options.items():
        looks = known.get(key)
        if looks is None:
            raise ValueError(
                f"{key!r} is not an option that a config may set; allowed: {', '.join(known)}; "
                "anything else that your site needs belongs in your own jobqueue.yaml"
            )
        if isinstance(looks, Mapping) and isinstance(value, dict):
            _options(value, looks)
            continue
        for text in map(str, value if isinstance(value, list | tuple) else (value,)):
            if isinstance(looks, Mapping) or not looks.match(text):
                raise ValueError(f"{text!r} can't be used for {key!r} in a job script")
    return options


Name = Annotated[str, AfterValidator(_name)]
Expression = Annotated[str, AfterValidator(_expression)]
Mail = Annotated[str, AfterValidator(_mail)]
PlainPath = Annotated[str, AfterValidator(check_path)]
Directive = Annotated[str, AfterValidator(check_directive)]
OwnCommand = Annotated[str, AfterValidator(_own)]
PrologueLine = Annotated[str, AfterValidator(_prologue)]
Options = Annotated[dict[str, Any], AfterValidator(_options)]
