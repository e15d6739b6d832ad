//! When to try again, and after how long.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::{Failure, HubError, Progress, Remote};

/// Attempts without any progress between them.
const ATTEMPTS: u32 = 5;

/// Before the second attempt; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Longest that a server may make us wait; more is for the user to decide.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How often we look whether the user wants to stop.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Counts failures since the last progress.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    failures: u32,
}

impl Patience {
    /// Something came: what failed before is forgotten.
    pub(crate) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// When there should be none.
    pub(crate) fn endure(&mut self, failure: Failure, progress: &dyn Progress) -> Result<(), HubError> {
        let (error, wait) = match failure {
            Failure::Lasting(error) => return Err(error),
            Failure::Passing { error, wait } => (error, wait),
        };
        self.failures += 1;
        match wait {
            _ if self.failures >= ATTEMPTS => Err(error),
            Some(wait) if wait > LONGEST_WAIT => Err(error),
            Some(wait) => {
                progress.note(&format!("the server asks to wait {} s", wait.as_secs()));
                pause(wait, progress)
            }
            None => pause(FIRST_WAIT * 2_u32.pow(self.failures - 1), progress),
        }
    }
}

/// Waits, unless the user wants to stop.
pub(crate) fn pause(wait: Duration, progress: &dyn Progress) -> Result<(), HubError> {
    let end = Instant::now() + wait;
    loop {
        if progress.is_interrupted() {
            return Err(HubError::Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(TICK));
    }
}

/// Tries until it works or there is no point in it.
pub(crate) fn retry<T>(
    remote: &dyn Remote,
    progress: &dyn Progress,
    attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, HubError> {
    retry_unless(|_| false, remote, progress, attempt)
}

/// The same, and gives up at once where that is `enough` to know.
pub(crate) fn retry_unless<T>(
    enough: impl Fn(&HubError) -> bool,
    remote: &dyn Remote,
    progress: &dyn Progress,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, HubError> {
    let mut patience = Patience::default();
    loop {
        let result = attend(remote, progress, &mut attempt);
        match result {
            Ok(value) => return Ok(value),
            Err(_) if progress.is_interrupted() => return Err(HubError::Interrupted),
            Err(Failure::Passing { error, .. }) if enough(&error) => return Err(error),
            Err(failure) => patience.endure(failure, progress)?,
        }
    }
}

/// Makes an attempt and ends it early when the user wants to stop, also while the server is silent.
fn attend<T>(
    remote: &dyn Remote,
    progress: &dyn Progress,
    attempt: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (under_way, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if progress.is_interrupted() {
                    remote.close();
                    return;
                }
            }
        });
        let result = attempt();
        drop(under_way);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    fn passing(wait: Option<Duration>) -> Failure {
        Failure::Passing { error: HubError::RateLimited { host: "h".into(), seconds: 1 }, wait }
    }

    #[test]
    fn attempts_are_bounded_and_progress_renews_them() {
        let mut patience = Patience::default();
        for _ in 0..3 {
            for _ in 1..ATTEMPTS {
                patience.endure(passing(Some(Duration::ZERO)), &Silent).unwrap();
            }
            patience.renew();
        }
        for _ in 1..ATTEMPTS {
            patience.endure(passing(Some(Duration::ZERO)), &Silent).unwrap();
        }
        assert!(patience.endure(passing(Some(Duration::ZERO)), &Silent).is_err());
    }

    #[test]
    fn a_server_that_wants_an_hour_is_not_waited_for() {
        let mut patience = Patience::default();
        assert!(patience.endure(passing(Some(Duration::from_hours(1))), &Silent).is_err());
    }
}
