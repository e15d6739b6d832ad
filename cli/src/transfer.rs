//! Progress of what comes over the network: bytes, rate, remaining time.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secateur_hub::Progress;

use crate::console::{Console, is_interrupted};

/// A bar in bytes that appears with the first transfer.
#[derive(Debug)]
pub struct Transfer<'a> {
    console: &'a Console,
    bar: ProgressBar,
}

impl<'a> Transfer<'a> {
    pub fn new(console: &'a Console, hidden: bool) -> Self {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        // the template is a constant that indicatif accepts
        if let Ok(style) = ProgressStyle::with_template(
            "{wide_bar} {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta:>4} left",
        ) {
            bar.set_style(style);
        }
        Self { console, bar }
    }
}

impl Progress for Transfer<'_> {
    fn begin(&self, total: u64, present: u64) {
        self.bar.set_length(total);
        self.bar.set_position(present);
        // what was there before says nothing of the rate
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn retreat(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    fn note(&self, message: &str) {
        self.bar.suspend(|| self.console.note(message));
    }

    fn is_interrupted(&self) -> bool {
        is_interrupted()
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
