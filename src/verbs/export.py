"""`export`: the federation's final model as a torch file."""

from pathlib import Path

import click

from src.verbs import options
from src.verbs.options import console

MARK = ".workspace"  # OpenFL puts it into every workspace


@click.command()
@click.option(
    "--model",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("save/final.pbuf"),
    show_default=True,
    help="The federation's model.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File, e.g. model.pt.")
@options.workspace
def export(model: Path, out: Path, workspace: Path) -> None:
    """Write the final model as a torch file; an encrypted one is verified and opened, at a site."""
    if not (workspace / MARK).is_file():
        raise click.UsageError(
            f"{workspace.resolve()} is not a workspace. Run this in a site's: `cd …/workspace` "
            "first, or name it with --workspace."
        )
    if not model.is_file():
        raise click.UsageError(
            f"{model}: no such file in {Path().resolve()}. Carry final.pbuf from the aggregator "
            "to this site, and name it with --model."
        )
    from src.engines.openfl.model_file import read_model
    from src.inference.export import export as write

    about = write(model, read_model(model, workspace), out, workspace)
    console.print(
        f"Model:  {out}  ({about['network']}, {about['values']:,} values)", soft_wrap=True
    )
    console.print(f"From:   {model}, SHA-256 {about['source_sha256']}", soft_wrap=True)
    console.print("Next:   torch.load(…, weights_only=True)['model_state_dict'] into that network")
