//! One file per command: settings, library calls, what is printed.

pub mod calibrate;
pub mod check;
pub mod compare;
pub mod compress;
pub mod describe;
pub mod eval;
pub mod inspect;
pub mod pass_until;
pub mod profiles;
pub mod pull;
pub mod search;
pub mod whatif;
