//! What the program tells of itself, as typed.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell that will read them
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// Folder for the pages, for example ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// The document, by the command that prints it
    #[arg(default_value = RUN, value_parser = documents())]
    pub document: String,
}

/// What run.json is called among the documents.
const RUN: &str = "run";

fn documents() -> PossibleValuesParser {
    let of_commands = secateur_reports::schemas::ALL.iter().map(|(name, _)| *name);
    PossibleValuesParser::new(std::iter::once(RUN).chain(of_commands))
}
