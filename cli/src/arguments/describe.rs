//! What the program tells of itself, as typed.

use std::path::PathBuf;

use clap::Args;
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
