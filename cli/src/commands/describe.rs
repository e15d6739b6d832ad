//! `secateur completions`, `man`, `reference` and `schema`: what the program tells of itself, made from the same types that it runs on.

use std::fmt::Write as _;

use anyhow::Context;
use clap::{Command, CommandFactory};
use secateur_compress::RunRecord;
use secateur_reports::schemas;

use crate::arguments::{Arguments, CompletionsArguments, ManArguments, SchemaArguments};
use crate::console::Console;
use crate::exit::Exit;

/// Columns of help in the reference, whatever the terminal has.
const WIDTH: usize = 100;

/// Prints a script that completes commands and options in a shell.
pub fn completions(arguments: &CompletionsArguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "secateur", &mut script);
    Console::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Writes a manual page for each command.
pub fn man(arguments: &ManArguments, console: &Console) -> anyhow::Result<Exit> {
    let folder = &arguments.folder;
    let written = || format!("{} cannot be written", folder.display());
    std::fs::create_dir_all(folder).with_context(written)?;
    clap_mangen::generate_to(Arguments::command(), folder).with_context(written)?;
    console.note(&format!("wrote the pages to {}; read them with: man -l {0}/secateur.1", folder.display()));
    Ok(Exit::Done)
}

/// Prints docs/cli.md.
pub fn reference() -> anyhow::Result<Exit> {
    let mut root = Arguments::command().term_width(WIDTH);
    root.build();
    let mut page = String::from(
        "# All commands\n\nMade by `secateur reference`; the tests check that it is what the program takes.\n",
    );
    section(&mut page, &root, 0);
    Console::text(&page)?;
    Ok(Exit::Done)
}

/// A command with its help, then those below it. Writing to a String cannot fail.
fn section(page: &mut String, command: &Command, depth: usize) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let hide = |argument: clap::Arg| {
        let hidden = depth > 0 && argument.is_global_set();
        if hidden { argument.hide(true) } else { argument }
    };
    let help = command.clone().term_width(WIDTH).mut_args(hide).render_long_help().to_string();
    let lines: Vec<_> = help.trim().lines().map(str::trim_end).collect();
    let _ =
        write!(page, "\n{} `{name}`\n\n```text\n{}\n```\n", "#".repeat(2 + depth.min(2)), lines.join("\n"));
    let below = command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set());
    for below in below {
        section(page, below, depth + 1);
    }
}

/// Prints the JSON Schema of a document.
pub fn schema(arguments: &SchemaArguments) -> anyhow::Result<Exit> {
    let of_command = schemas::ALL.iter().find(|(name, _)| *name == arguments.document);
    Console::json_document(&of_command.map_or_else(RunRecord::json_schema, |(_, schema)| schema()))?;
    Ok(Exit::Done)
}
