"""`echochamber corpus import` and `echochamber corpus inspect`: options in, tables out."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bot.settings import load_settings
from echochamber.corpus_tables import key_lines, next_command, print_imported, print_inspection
from echochamber.screen import Screen

_SHOWN = 10

corpus = typer.Typer(help="Make a corpus of your own chats, and look into any corpus.", no_args_is_help=True)


class Messenger(StrEnum):
    """Where an export comes from."""

    AUTO = "auto"
    TELEGRAM = "telegram"
    DISCORD = "discord"
    WHATSAPP = "whatsapp"


@corpus.command("import")
def import_(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    file: Annotated[Path, typer.Argument(help="The export: a file, a zip file or a folder of files.")],
    out: Annotated[Path, typer.Option(help="The corpus's folder, which must not exist.")],
    messenger: Annotated[
        Messenger, typer.Option("--from", help="Where the export comes from; auto tells by its files.")
    ] = Messenger.AUTO,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Replace names, handles, links, addresses and long numbers.")
    ] = False,
    silence: Annotated[
        float, typer.Option(min=0.01, help="Hours in which nobody writes, after which a conversation is over.")
    ] = 8.0,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out what somebody of this name wrote; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Turn a chat's export into a corpus: Telegram's result.json, DiscordChatExporter's JSON, WhatsApp's text.

    Take only chats whose people agree; --without leaves out a person, or a bot that Telegram does not mark as one.
    """
    from training.imports.chat import ChatError  # noqa: PLC0415 - nothing slow loads for --help
    from training.imports.importer import Request, import_chat  # noqa: PLC0415

    request = Request(file, out, messenger.value, pseudonyms, silence, tuple(without or ()))
    screen = Screen()
    with screen.refusing(ChatError):
        imported = import_chat(request)
    if as_json:
        typer.echo(json.dumps(imported.to_mapping() | {"next": next_command(imported)}, ensure_ascii=False, indent=2))
    else:
        print_imported(imported, _SHOWN)
    for line in key_lines(imported.key) if imported.key else ():
        screen.tell(line)


@corpus.command()
def inspect(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    name: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A folder in ConvoKit's format or the name of a ConvoKit corpus.")
    ],
    persona: Annotated[
        str | None, typer.Option(help="Who is taught, as for train; the friends, else everybody, where not given.")
    ] = None,
    base: Annotated[str, typer.Option(help="The base whose tokens are counted, as for train; 'none' counts none.")] = (
        "embedded"
    ),
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Leave scenes out, as for train, such as season=s10; may be repeated.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens a step, padding included, as for train.")] = 1024,
    rate: Annotated[
        str | None, typer.Option(help="Tokens a second, or the folder of a run that measured them on this machine.")
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many speakers to list.")] = _SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, all speakers included.")] = False,
) -> None:
    """Show what is in a corpus, what training leaves out of it and why, and what a pass over it costs.

    Names, ids and numbers are shown, never a line's text.
    """
    from training.inspection import InspectionError, Question  # noqa: PLC0415 - nothing slow loads for --help
    from training.inspection import inspect as look_into  # noqa: PLC0415

    screen = Screen()
    with screen.refusing(InspectionError):
        cache = load_settings().cache_dir
        found = look_into(Question(name, cache, persona, base, tuple(leave_out or ()), tokens, rate))
    if as_json:
        typer.echo(json.dumps(found.to_mapping(), ensure_ascii=False, indent=2))
    else:
        print_inspection(found, top)
    if found.trouble:
        screen.tell(f"It cannot be trained on like this: {found.trouble}.")
