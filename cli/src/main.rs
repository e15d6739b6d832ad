//! The `secateur` binary: what the user typed, then library calls, then an exit code.

mod arguments;
mod cache;
mod commands;
mod console;
mod cost_model;
mod device;
mod exit;
mod fit_report;
mod hub_settings;
mod llama_bench;
mod model_argument;
mod recipe;
mod run_record;
mod searching;
mod space_file;
mod transfer;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use console::Console;
use exit::Exit;

fn main() -> ExitCode {
    exit::report_bugs();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let wants_json = typed.iter().any(|word| word == "--json");
    let arguments = match recipe::expanded(typed).map(Arguments::try_parse_from) {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(error)) if wants_json && error.use_stderr() => {
            let text = error.render().to_string();
            let text = text.trim_end().trim_start_matches("error: ").to_owned();
            Console::for_errors(wants_json).error(&anyhow::Error::msg(text), Exit::Usage);
            return Exit::Usage.into();
        }
        // help, a version, or an error for people
        Ok(Err(error)) => error.exit(),
        Err(error) => {
            let exit = error.exit();
            Console::for_errors(wants_json).error(&error.into(), exit);
            return exit.into();
        }
    };
    let console = Console::new(&arguments.global);
    let seed = arguments.global.seed;
    let result = configure_threads(arguments.global.threads).and_then(|()| match arguments.command {
        Command::Calibrate(arguments) => commands::calibrate::run(&arguments, &console),
        Command::Check(arguments) => commands::check::run(&arguments, &console),
        Command::Compare(arguments) => commands::compare::run(&arguments, &console),
        Command::Completions(arguments) => commands::describe::completions(&arguments),
        Command::Compress(arguments) => commands::compress::run(&arguments, seed, &console),
        Command::Eval(arguments) => commands::eval::run(&arguments, seed, &console),
        Command::Inspect(arguments) => commands::inspect::run(&arguments, &console),
        Command::Man(arguments) => commands::describe::man(&arguments, &console),
        Command::Profiles(arguments) => commands::profiles::run(&arguments, &console),
        Command::Search(arguments) => commands::search::run(&arguments, seed, &console),
        Command::Pull(arguments) => commands::pull::run(&arguments, &console),
        Command::Reference => commands::describe::reference(),
        Command::Schema(arguments) => commands::describe::schema(&arguments),
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
