"""`echochamber export`: a checkpoint for others, as a folder, a GGUF file, or on the hub."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.settings import load_settings
from echochamber.screen import Screen


def export(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    model: Annotated[Path, typer.Option(help="A checkpoint folder, or a run's folder.")],
    out: Annotated[Path, typer.Option(help="The folder to make; it must not be there yet.")],
    merge: Annotated[
        bool, typer.Option("--merge/--adapter", help="Join the adapter to its base, or leave it an adapter.")
    ] = True,
    dtype: Annotated[Literal["bf16", "fp32", "fp16"], typer.Option(help="Number format of the merged weights.")] = (
        "bf16"
    ),
    gguf: Annotated[bool, typer.Option("--gguf", help="Write a GGUF file too, through llama.cpp's converter.")] = False,
    converter: Annotated[
        Path | None, typer.Option(help="llama.cpp's converter or checkout; where not given, the one on the PATH.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload to this repository on the hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Keep a repository that --push creates private.")] = False,
) -> None:
    """Make a checkpoint ready for others: merged, with tokenizer, chat template and model card."""
    from training.hub import HubError, check_name  # noqa: PLC0415 - torch loads here, not for --help
    from training.hub import push as upload  # noqa: PLC0415
    from training.llamacpp import ConverterError, find_converter, to_gguf  # noqa: PLC0415
    from training.publish import Publication, PublishError, publish  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(ConverterError, HubError, PublishError):
        if gguf and not merge:
            raise PublishError("a GGUF file is made of merged weights: leave out --adapter")
        words = find_converter(converter) if gguf else []
        if push:
            check_name(push)
        typer.echo(publish(Publication(model, out, merge, dtype), load_settings().cache_dir, screen.tell))
        if gguf:
            screen.tell("Converting to GGUF.")
            typer.echo(to_gguf(out, dtype, words))
        if push:
            screen.tell(f"Uploading to {push}.")
            typer.echo(upload(out, push, private=private))
