//! One file per command: settings, library calls, what is printed.

pub mod compress;
pub mod inspect;
pub mod profiles;
pub mod whatif;
