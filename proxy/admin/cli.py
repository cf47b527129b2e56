"""Runs one command; the only place where errors become messages and exit codes.

Exit codes: 0 done, 1 not done (stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import UTC, datetime

import psycopg

from proxy.admin import commands, database, remote
from proxy.admin.arguments import PROGRAM, WrongUsage, parse
from proxy.admin.output import CommandOutput, to_json
from proxy.database.schema import SchemaError, check_schema
from proxy.identity.user_errors import UserError
from runtime import config as configuration
from runtime.config import ConfigError


def main(argv: list[str]) -> int:
    """Run one command. Returns the exit code."""
    try:
        where, line = remote.take_options(argv)
        arguments = parse(line, now=datetime.now(UTC))
        if where is None:
            _run(arguments)
        else:
            _print(arguments, remote.run(where, arguments, line))
    except WrongUsage as wrong:
        print(f"{wrong.usage}{PROGRAM}: error: {wrong}", file=sys.stderr)
        return 2
    except ConfigError as error:
        problems = error.problems
    except (UserError, SchemaError, database.DatabaseUnavailable, remote.RemoteError) as error:
        problems = [str(error)]
    except psycopg.Error as error:
        problems = [f"the database refused: {error.diag.message_primary or str(error).splitlines()[0]}"]
    except BrokenPipeError:
        # The reader has closed the pipe. Python flushes stdout again at its end, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1


def _run(arguments: Namespace) -> None:
    config = configuration.load()
    for line in config.warnings:
        print(f"warning: {line}", file=sys.stderr)
    with database.connect(config) as connection:
        if arguments.run is not commands.init_db:
            check_schema(connection)
        output = arguments.run(connection, config, arguments)
    _print(arguments, output)


def _print(arguments: Namespace, output: CommandOutput) -> None:
    print(to_json(output.data) if arguments.json else output.text, flush=True)
