//! What goes where: data on stdout, messages and progress on stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use secateur_compress::progress::Progress;
use secateur_reports::schemas::{Failed, Failure};
use secateur_reports::{Format, Table, document};
use secateur_search::{Limit, Report};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::arguments::{Global, TableFormat};
use crate::exit::Exit;
use crate::transfer::Transfer;

/// Set by Ctrl-C, and by the signal that ends a job; heard from the first look at it on.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let interrupted = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        // refused are only signals that no handler may have, and these are none of them
        let _ = flag::register(signal, Arc::clone(&interrupted));
    }
    interrupted
});

/// Where results, notes and progress go.
#[derive(Debug)]
pub struct Console {
    json: bool,
    format: Format,
    quiet: bool,
    offline: bool,
}

impl Console {
    pub fn new(global: &Global) -> Self {
        let format = match global.format {
            TableFormat::Table => Format::Table,
            TableFormat::Markdown => Format::Markdown,
            TableFormat::Csv => Format::Csv,
            TableFormat::Html => Format::Html,
            TableFormat::Latex => Format::Latex,
        };
        Self { json: global.json, format, quiet: global.quiet, offline: global.offline }
    }

    /// Before the command line is understood.
    pub fn for_errors(json: bool) -> Self {
        Self { json, format: Format::Table, quiet: false, offline: false }
    }

    /// Prints a result: the whole record as JSON, or its tables.
    pub fn result(&self, record: &impl Serialize, tables: &[Table]) -> anyhow::Result<()> {
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(record)?));
        }
        print(&document(self.format, tables, &[]))
    }

    /// The same with notes that belong to the tables: they stand below them where a document has room for text, else on stderr.
    pub fn result_with_notes(
        &self,
        record: &impl Serialize,
        tables: &[Table],
        notes: &[String],
    ) -> anyhow::Result<()> {
        if self.json || self.is_for_programs() {
            self.result(record, tables)?;
            notes.iter().for_each(|note| self.note(note));
            return Ok(());
        }
        print(&document(self.format, tables, notes))
    }

    /// True if tables go to programs, not to people.
    pub fn is_for_programs(&self) -> bool {
        self.format == Format::Csv
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

    /// Prints workflow commands, which CI reads between other lines; nothing is printed between the lines of a document.
    pub fn annotate(&self, commands: &str) -> anyhow::Result<()> {
        if self.json || self.is_for_programs() {
            let _ = io::stderr().write_all(commands.as_bytes());
            return Ok(());
        }
        print(commands)
    }

    /// Prints a text that is what it is: a script, a page.
    pub fn text(text: &str) -> anyhow::Result<()> {
        print(text)
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
            let document = Failed { error: Failure { message, exit_code: exit as i32 } };
            // a closed stdout changes nothing about the exit code
            let _ = Self::json_document(&document);
        } else {
            let _ = writeln!(io::stderr(), "error: {message}");
        }
    }

    /// True if the network must not be asked.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// A bar on stderr, if that is a terminal; Ctrl-C is heard from now on.
    pub fn progress(&self) -> Bar {
        hear_interruption();
        Bar { hidden: self.hides_progress(), bar: OnceLock::new() }
    }

    /// The same in bytes, for what comes over the network.
    pub fn transfer(&self) -> Transfer<'_> {
        hear_interruption();
        Transfer::new(self, self.hides_progress())
    }

    fn hides_progress(&self) -> bool {
        self.quiet || self.json || !io::stderr().is_terminal()
    }
}

fn hear_interruption() {
    LazyLock::force(&INTERRUPTED);
}

/// True once the user pressed Ctrl-C, or the job is to end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
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
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        })
    }

    /// `{rate}` of the template counts what has gone through all of `steps`.
    fn start(&self, stage: &'static str, length: u64, steps: u64, template: &str) {
        let bar = self.bar();
        // the templates are constants that indicatif accepts
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = move |state: &ProgressState, out: &mut dyn fmt::Write| {
                // a String takes all that is written
                let _ = write!(out, "{:.0}", state.per_sec() / steps as f64);
            };
            // indicatif's own goes by the last seconds, in which a search may not have come further
            let started = Instant::now();
            let left = move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{}", time_left(started.elapsed(), state.pos(), state.len()));
            };
            bar.set_style(style.with_key("rate", rate).with_key("left", left));
        }
        bar.set_message(stage);
        bar.set_length(length);
        bar.set_position(0);
        bar.reset_eta();
    }
}

/// How long it will take at the speed so far; nothing yet where nothing is done.
fn time_left(elapsed: Duration, done: u64, length: Option<u64>) -> String {
    let Some(length) = length.filter(|_| done > 0) else { return "…".to_owned() };
    let left = elapsed.as_secs_f64() * length.saturating_sub(done) as f64 / done as f64;
    Duration::try_from_secs_f64(left)
        .map_or_else(|_| "…".to_owned(), |left| format!("{:#}", HumanDuration(left)))
}

impl Bar {
    /// Tells something beside the bar.
    pub fn note(&self, message: &str) {
        if !self.hidden {
            self.bar().println(message);
        }
    }
}

/// Parts of an evaluation that a bar tells apart.
const PARTS: u64 = 16;

/// A search as a bar of its time, or of its evaluations, with the best plan so far.
pub struct SearchProgress<'a> {
    bar: &'a Bar,
    started: Instant,
    limit: Limit,
}

impl<'a> SearchProgress<'a> {
    pub fn new(bar: &'a Bar, limit: Limit) -> Self {
        let length = match limit {
            Limit::Time(time) => time.as_secs(),
            Limit::Evaluations(evaluations) => PARTS * evaluations as u64,
        };
        bar.start("searching", length, 1, "{msg} {wide_bar} {percent:>3} %  {left:>4} left");
        Self { bar, started: Instant::now(), limit }
    }
}

impl secateur_search::Progress for SearchProgress<'_> {
    fn report(&self, report: &Report) {
        let bar = self.bar.bar();
        if let Limit::Evaluations(_) = self.limit {
            bar.set_position((PARTS as f64 * report.evaluations) as u64);
        }
        if let Some(best) = report.best {
            bar.set_message(format!(
                "searching: {:.4} measured, {:.4} expected, {} on the front, {:.0} plans measured",
                best.mean, report.expected, report.front, report.evaluations
            ));
        }
    }

    fn is_interrupted(&self) -> bool {
        // asked before each measurement: between two reports, too, time goes by
        if let Limit::Time(_) = self.limit {
            self.bar.bar().set_position(self.started.elapsed().as_secs());
        }
        is_interrupted()
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
        self.start(stage, elements, 1, "{msg:<12} {wide_bar} {percent:>3} %  {left:>4} left");
    }

    fn begin_tokens(&self, stage: &'static str, tokens: u64, steps: u64) {
        let template = "{msg:<12} {wide_bar} {percent:>3} %  {rate} tokens/s  {left:>4} left";
        self.start(stage, tokens * steps, steps, template);
    }

    fn advance(&self, elements: u64) {
        self.bar().inc(elements);
    }

    fn is_interrupted(&self) -> bool {
        is_interrupted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_by_all_that_is_done() {
        let left = |seconds, done, length| time_left(Duration::from_secs(seconds), done, length);
        assert_eq!(left(60, 1, Some(4)), "3m");
        assert_eq!(left(10, 5, Some(10)), "10s");
        assert_eq!(left(10, 12, Some(10)), "0s", "more than was expected");
        // nothing is known yet
        assert_eq!(left(600, 0, Some(10)), "…");
        assert_eq!(left(600, 3, None), "…");
    }
}
