//! The `secateur` binary: what the user typed, then library calls, then an exit code.

mod arguments;
mod commands;
mod console;
mod cost_model;
mod exit;
mod fit_report;
mod model_argument;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use console::Console;
use exit::Exit;

fn main() -> ExitCode {
    exit::report_bugs();
    let arguments = Arguments::parse();
    let console = Console::new(&arguments.global);
    let result = configure_threads(arguments.global.threads).and_then(|()| match arguments.command {
        Command::Compress(arguments) => commands::compress::run(&arguments, &console),
        Command::Inspect(arguments) => commands::inspect::run(&arguments, &console),
        Command::Profiles(arguments) => commands::profiles::run(&arguments, &console),
        Command::Whatif(arguments) => commands::whatif::run(&arguments, &console),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = Exit::of_error(&error);
            console.error(&error, exit);
            exit.into()
        }
    }
}

fn configure_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    Ok(())
}
