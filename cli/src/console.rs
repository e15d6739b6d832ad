//! What goes where: data on stdout, messages and progress on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_compress::progress::Progress;
use secateur_reports::{Format, Table};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{Global, TableFormat};
use crate::exit::Exit;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Where results, notes and progress go.
#[derive(Debug)]
pub struct Console {
    json: bool,
    format: Format,
    quiet: bool,
}

impl Console {
    pub fn new(global: &Global) -> Self {
        let format = match global.format {
            TableFormat::Table => Format::Table,
            TableFormat::Markdown => Format::Markdown,
            TableFormat::Csv => Format::Csv,
        };
        Self { json: global.json, format, quiet: global.quiet }
    }

    /// Prints a result: the whole record as JSON, or its tables.
    pub fn result(&self, record: &impl Serialize, tables: &[Table]) -> anyhow::Result<()> {
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(record)?));
        }
        let rendered: Vec<String> = tables.iter().map(|table| self.format.render(table)).collect();
        print(&rendered.join("\n"))
    }

    /// Prints a document as it would stand in a file: YAML, or JSON.
    pub fn document(&self, document: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(document)?));
        }
        print(&serde_saphyr::to_string(document)?)
    }

    /// Prints a document that is JSON by its nature.
    pub fn json_document(document: &impl Serialize) -> anyhow::Result<()> {
        print(&format!("{}\n", serde_json::to_string_pretty(document)?))
    }

    /// Tells the user something that is not the result.
    pub fn note(&self, message: &str) {
        if !self.quiet && !self.json {
            // a closed stderr is no reason to stop
            let _ = writeln!(io::stderr(), "{message}");
        }
    }

    /// Tells why there is no result.
    pub fn error(&self, error: &anyhow::Error, exit: Exit) {
        let message = messages(error);
        if self.json {
            let document = json!({"error": {"message": message, "exit_code": exit as i32}});
            let _ = print(&format!("{document:#}\n"));
        } else {
            let _ = writeln!(io::stderr(), "error: {message}");
        }
    }

    /// A bar on stderr, if that is a terminal; Ctrl-C is heard from now on.
    pub fn progress(&self) -> Bar {
        // a second handler is refused, the first one stays
        let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
        let hidden = self.quiet || self.json || !io::stderr().is_terminal();
        Bar { hidden, bar: OnceLock::new() }
    }
}

/// The error and its causes in one line, those left out that the line before already says.
fn messages(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        // `secateur inspect … | head` is a success
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Progress as a bar with rate and remaining time.
#[derive(Debug)]
pub struct Bar {
    hidden: bool,
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    fn bar(&self) -> &ProgressBar {
        self.bar.get_or_init(|| {
            let bar = if self.hidden {
                ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            } else {
                ProgressBar::new(0)
            };
            // the template is a constant that indicatif accepts
            if let Ok(style) =
                ProgressStyle::with_template("{msg:<12} {wide_bar} {percent:>3} %  {eta:>4} left")
            {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, stage: &'static str, elements: u64) {
        let bar = self.bar();
        bar.set_message(stage);
        bar.set_length(elements);
        bar.set_position(0);
        bar.reset_eta();
    }

    fn advance(&self, elements: u64) {
        self.bar().inc(elements);
    }

    fn is_interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
