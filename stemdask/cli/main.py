"""The command line: thin verbs, each of which calls one function of the library."""

from __future__ import annotations

import errno
import gc
import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
import typer.exceptions

from stemdask.cli import streams
from stemdask.errors import ConfigError, DoubtfulPolarity, StemdaskError

if TYPE_CHECKING:
    from stemdask.config.document import Document
    from stemdask.engine.driver import Outcome


class _Verbs(typer.core.TyperGroup):
    """Verbs whose errors become one-sentence messages and exit codes; README.md lists the codes."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        streams.open_closed()
        try:
            return super().invoke(ctx)
        except StemdaskError as error:
            _complain(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.secho("Stopped by Ctrl-C; run the same command again to resume.", err=True)
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, BrokenPipeError, typer.exceptions.TyperException):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: a user never sees a traceback unasked
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                _complain(error, f"{str(error.filename)[:99]}…: {error.strerror}. Choose another name.")
                raise typer.Exit(2) from None
            kind = type(error).__name__
            _complain(error, f"Internal error: {kind}: {error}\nRun 'stemdask -v ...' for the traceback.")
            raise typer.Exit(1) from None


app = typer.Typer(
    name="stemdask",
    cls=_Verbs,
    help="Atomic-resolution electron microscopy in bulk: images or structures in, one zarr store and a report out.",
    epilog="First time here? Run 'stemdask demo'. With your own data: 'stemdask run FILE -o results.zarr'.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_verbose = False
#: Objects, more than were given back, after which Python looks for circles among them; by default 700.
_ALLOCATIONS = 10_000
#: Seconds before the first block that are told beside those of the frames.
_LONG_PLANNING = 2.0

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT", help="Files, folders or globs of frames.")]
Sources = Annotated[
    list[str], typer.Argument(metavar="CONFIG|INPUT", help="A YAML config, or files, folders or globs of frames.")
]
Store = Annotated[Path, typer.Argument(metavar="STORE", help="A zarr store that stemdask wrote.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config, such as a.b=c.")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="The zarr store to write.")]
ClusterKind = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="auto, inline, threads, processes, slurm, pbs, lsf, sge, htcondor, oar, allocation, address or gateway.",
    ),
]

Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="A cluster profile of your own or of the site.")
]


def _version(asked: bool) -> None:
    if asked:
        from stemdask._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    from stemdask.fence.process import ONE_THREAD

    global _verbose
    _verbose = verbose
    os.environ.update(ONE_THREAD)  # before numpy is loaded: a process without threads can be forked
    # Imports make objects that stay: looking through them for circles took a fifteenth of a small run.
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])


@app.command(epilog="Example: stemdask demo")
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path("stemdask-demo"),
) -> None:
    """Simulate images and structures with known truth, analyse them, and show recovered against injected."""
    from stemdask.cli import demo

    raise typer.Exit(demo.show(output))


@app.command(epilog="Example: stemdask init stack.dm4 > run.yaml")
def init(inputs: Inputs) -> None:
    """Inspect the data and write a commented config for it to standard output."""
    from stemdask.planning import starter

    typer.echo(starter.write(inputs), nl=False)


@app.command(epilog="Example: stemdask inspect 'frames/*.tif'")
def inspect(inputs: Inputs, settings: Settings = None) -> None:
    """Describe the data: format, frames, shape, calibration, elements, and anything unusual."""
    from stemdask.planning.resolve import open_input

    for key, value in open_input(_document(inputs, settings)).describe().items():
        lines = value if isinstance(value, list) else [value]
        for line in lines or ["none"]:
            typer.echo(f"{key:>14}: {line}")


@app.command(epilog="Example: stemdask preview stack.dm4")
def preview(
    inputs: Inputs,
    frame: Annotated[int, typer.Option("--frame", min=0, help="The frame to look at.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Picture to write, PNG.")] = None,
    settings: Settings = None,
) -> None:
    """Analyse one frame in seconds, draw it, and say what was found and what to change if it is wrong."""
    from stemdask.cli import preview

    raise typer.Exit(preview.show(inputs, frame, output, settings or ()))


@app.command(epilog="Example: stemdask tune stack.dm4 -o tuned.yaml")
def tune(
    config: Sources,
    output: Annotated[Path, typer.Option("-o", "--output", help="Config to write; scores and a page go beside it.")],
    settings: Settings = None,
    frames: Annotated[
        str | None, typer.Option("--frames", help="Look at frames a to b - 1, 'a:b', instead of up to three.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Try other parameters on a few frames, score them against known truth, and write the config with the best."""
    from stemdask.cli import tuning

    tuning.show(_document(config, settings), output, frames, quiet=quiet)


@app.command(epilog="Example: stemdask check run.yaml")
def check(config: Sources, settings: Settings = None, profile: Profile = None) -> None:
    """Check a config against its data and report every problem at once, each with its line."""
    from stemdask.engine import run as engine
    from stemdask.engine.queues import submit
    from stemdask.planning.resolve import resolve
    from stemdask.store import place

    document = _document(config, settings, profile=profile)
    engine.tell_of_compiling()
    resolved = resolve(document)
    place.is_taken(Path(resolved.config.output))  # refuses what isn't a store
    if found := submit.check(resolved):
        raise ConfigError("the queue would refuse this", where=document.name, problems=found)
    frames = f"{resolved.source.n_frames} frame{'s' if resolved.source.n_frames != 1 else ''}"
    typer.echo(f"{frames}; analyses: {', '.join(step.name for step in resolved.steps)}")
    for warning in resolved.source.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo("The config is valid.")


@app.command(epilog="Example: stemdask plan run.yaml")
def plan(config: Sources, output: Output = None, settings: Settings = None, profile: Profile = None) -> None:
    """Estimate what a run needs: frames, blocks, memory, minutes, files; the same as run --dry-run."""
    from stemdask.engine import run as engine

    engine.tell_of_compiling()
    _echo_plan(engine.plan(_document(config, settings, output, profile=profile)))


@app.command(epilog="Example: stemdask run stack.dm4 -o results.zarr --cluster processes")
def run(
    config: Sources,
    output: Output = None,
    cluster: ClusterKind = None,
    profile: Profile = None,
    settings: Settings = None,
    frames: Annotated[str | None, typer.Option("--frames", help="Process only frames a to b - 1, 'a:b'.")] = None,
    blocks: Annotated[str | None, typer.Option("--blocks", help="Process only blocks a to b - 1, 'a:b'.")] = None,
    retry: Annotated[
        str | None, typer.Option("--retry", help="failed or overflow: process frames with this status again.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing store aside and start over.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate what the run needs, without running it.")
    ] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the report when the run ends.")] = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only what went wrong.")] = False,
) -> None:
    """Analyse every frame into one zarr store; an interrupted run resumes where it stopped."""
    from stemdask.engine import run as engine
    from stemdask.engine.queues import seeing

    start = time.monotonic()
    document = _document(config, settings, output, cluster, profile)
    if dry_run:
        _echo_plan(engine.plan(document))
        return
    try:
        outcome = engine.execute(document, frames=frames, blocks=blocks, retry=retry, fresh=fresh, progress=not quiet)
    except DoubtfulPolarity as error:
        typer.echo(f"both contrasts: {_draw_both(error, document.data['output'])}")
        raise
    said = [] if quiet or not outcome.fresh else [*seeing.used(outcome.store)]
    if outcome.exit_code or not quiet:
        typer.echo(_ended(outcome, time.monotonic() - start))
    if outcome.complete and (report or not quiet):
        from stemdask.report import fenced

        if report:
            if not quiet:
                typer.echo("writing the report", err=True)
            written = fenced.write(outcome.store)
            found = [*written.summary, f"store:  {outcome.store}", f"report: {written.page}"]
        else:
            found = [*_summed_up(outcome.store), f"store:  {outcome.store}"]
        said += [] if quiet else found
    for line in said:
        typer.echo(line)
    raise typer.Exit(outcome.exit_code)


@app.command(epilog="Example: stemdask submit run.yaml --directive=--partition=short")
def submit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML config.")],
    settings: Settings = None,
    profile: Profile = None,
    directive: Annotated[
        list[str] | None,
        typer.Option("--directive", help="An extra directive for the driver's job, such as --account=x."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write and show the scripts without submitting.")] = False,
) -> None:
    """Write the script of the driver's job beside the store, show it and the workers' script, and submit it."""
    from stemdask.engine import run as engine
    from stemdask.engine.queues import submit

    engine.tell_of_compiling()
    document = _document([str(config)], settings, profile=profile)
    options = [*(["--profile", profile] if profile else []), *(f"--set={setting}" for setting in settings or ())]
    written = submit.write(config, document, directive or (), options)
    typer.echo(f"{written.text}\n# {written.script}")
    if written.worker:
        typer.echo(f"# Script of each worker's job; only the name differs:\n\n{written.worker}")
    if not dry_run:
        job = submit.send(written)
        typer.echo(f"job {job}; follow it with:\n  tail -f {written.log(job)}\n  stemdask status {written.store}")


@app.command(epilog="Example: stemdask status results.zarr")
def status(
    store: Store,
    follow: Annotated[
        bool, typer.Option("--follow", help="Update whenever something changes, until the run ends.")
    ] = False,
) -> None:
    """Show the progress of a run, the state of its jobs, which frames failed, and why."""
    from stemdask.cli import following

    following.show(store, follow=follow)


@app.command(epilog="Example: stemdask verify results.zarr")
def verify(
    store: Store,
    repair: Annotated[
        bool, typer.Option("--repair", help="Restore damaged metadata, and mark damaged blocks for the next run.")
    ] = False,
) -> None:
    """Read the whole store and check every byte of it against its checksum."""
    from stemdask.results import reader

    damage = reader.verify(store, repair=repair)
    typer.echo(damage.text())
    raise typer.Exit(0 if damage.sound else 1)


@app.command(epilog="Example: stemdask pack results.zarr")
def pack(store: Store) -> None:
    """Join the chunks of a complete store into few files, in place; open the store again afterwards."""
    from stemdask.store import pack

    typer.echo(pack.pack(store).text())


@app.command(epilog="Example: stemdask report results.zarr")
def report(
    store: Store,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="HTML file to write.")] = None,
    ideal: Annotated[
        Path | None, typer.Option("--ideal", metavar="STORE", help="Store of an ideal particle for comparison.")
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option("--frames", help="Show frames a to b - 1, 'a:b', instead of typical and doubtful ones."),
    ] = None,
) -> None:
    """Write one self-contained HTML file with the figures and numbers of a store."""
    from stemdask import report

    typer.echo(report.write(store, output, frames=frames, ideal=ideal))


@app.command(epilog="Example: stemdask figures results.zarr -o figures --only displacement --format pdf")
def figures(
    store: Store,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    frames: Annotated[
        str | None, typer.Option("--frames", help="Draw frames a to b - 1, 'a:b', instead of the first with results.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="svg or pdf, with text that can be edited, or png.")] = "svg",
    only: Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="Draw this figure only.")] = None,
) -> None:
    """Write the figures of a store as files for a paper."""
    from stemdask.figures import saved

    for path in saved.save(store, output, frames=frames, format=format, only=only or ()):
        typer.echo(path)


@app.command(epilog="Example: stemdask view results.zarr")
def view(
    store: Store,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 is any free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser on this machine.")
    ] = True,
    watch: Annotated[bool, typer.Option("--watch", help="Follow a run in progress.")] = False,
) -> None:
    """Show the frames in a browser: scrub, click columns and atoms, select ranges of values, rotate particles."""
    from stemdask.view import entrance

    entrance.serve(store, port=port, browser=browser, watch=watch)


@app.command(epilog="Example: stemdask export results.zarr --format csv -o tables")
def export(
    store: Store,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")],
    format: Annotated[str, typer.Option("--format", help="csv, pdb, extxyz, hspy or parquet.")] = "csv",
    property: Annotated[
        str | None, typer.Option("--property", help="For pdb: the property in the B-factor column.")
    ] = None,
) -> None:
    """Export the results for other programs."""
    from stemdask import export

    for path in export.write(store, format, output, b_factor=property):
        typer.echo(path)


@app.command(epilog="Example: stemdask cite results.zarr")
def cite(
    store: Annotated[Path | None, typer.Argument(metavar="[STORE]", help="A zarr store that stemdask wrote.")] = None,
) -> None:
    """Print what to cite: stemdask, and the methods by which a store was made, as sentences and BibTeX."""
    from stemdask.report import methods

    typer.echo(methods.cite(store))


@app.command(epilog="Example: stemdask doctor --cluster")
def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Show the partitions of the batch system, and a first profile.")
    ] = False,
) -> None:
    """Check this machine: packages, threads, memory, file system, batch systems."""
    from stemdask.cli import doctor

    raise typer.Exit(doctor.show_clusters() if cluster else doctor.show())


@app.command(epilog="Example: stemdask schema > stemdask.schema.json")
def schema() -> None:
    """Write the JSON schema of the config, for editors."""
    from stemdask.planning import starter

    typer.echo(starter.schema())


def _draw_both(error: DoubtfulPolarity, output: str) -> Path:
    """Draw an image of doubtful contrast both ways, beside the store that its run would write."""
    from stemdask.figures.images.polarity import both_contrasts
    from stemdask.figures.saved import write_picture
    from stemdask.store.place import open_run_directory

    target = open_run_directory(Path(output).expanduser().absolute()) / "polarity.png"
    write_picture(both_contrasts(error.pixels), target)
    return target


def _complain(error: Exception, text: str | None = None) -> None:
    if _verbose:
        traceback.print_exception(error)
    typer.secho(text or str(error), err=True, fg="red")


def _document(
    config: list[str],
    settings: list[str] | None,
    output: Path | None = None,
    cluster: str | None = None,
    profile: str | None = None,
) -> Document:
    """Return the config that was named, or the default one for the inputs."""
    from stemdask.config import document as documents
    from stemdask.config import profiles

    if len(config) == 1 and Path(config[0]).suffix.lower() in (".yaml", ".yml"):
        document = documents.read(config[0])
    elif any(Path(item).suffix.lower() in (".yaml", ".yml") for item in config):
        raise ConfigError(
            "a config can't be combined with other arguments",
            value=" ".join(config),
            allowed="one YAML file, or inputs",
        )
    else:
        document = documents.of_inputs(config)
    if cluster is not None and cluster != (document.data.get("cluster") or {}).get("kind"):
        document.data["cluster"] = {"kind": cluster}  # the other keys belong to another kind
    if profile is not None:
        written = document.data.get("cluster") or {}
        same = written.get("kind") == profiles.known().get(profile, {}).get("kind")
        document.data["cluster"] = (written if same else {}) | {"profile": profile}
    document = documents.override(document, settings or [])
    if output is not None:
        document.data["output"] = str(output)
    return document


def _ended(outcome: Outcome, seconds: float) -> str:
    """Say how a run ended that took so long in all; what it took before its first block is told where it's long."""
    before = seconds - outcome.seconds
    return outcome.sentence() + (f", after {before:.0f} s of planning" if before >= _LONG_PLANNING else "")


def _summed_up(store: Path) -> Sequence[str]:
    """Return what was found in a run; where that can't be said, why not: the run isn't the worse for it."""
    from stemdask.report import fenced

    try:
        return fenced.sum_up(store)
    except StemdaskError as error:
        return [str(error)]


def _echo_plan(plan: Any) -> None:
    for key, value in plan:
        typer.echo(f"{key:>14}: {value}")
