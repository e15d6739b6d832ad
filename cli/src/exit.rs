//! Exit codes, in one place.

use std::process::ExitCode;

use secateur_compress::CompressError;
use secateur_compress::forward::ForwardError;
use secateur_compress::measure::MeasureError;
use secateur_compress::pass_until::TaskError;
use secateur_compress::shape::ShapeRequestError;
use secateur_compress::statistics::StatisticsError;
use secateur_compress::vocabulary::VocabularyError;
use secateur_hub::{HubError, IdError};
use secateur_model::ModelError;
use secateur_model::types::RequestError;
use secateur_plans::PlansError;
use secateur_profiles::profile::ProfileError;
use secateur_search::{SearchError, StudyError};

use crate::cache::NoCacheFolder;
use crate::commands::check::CheckError;
use crate::commands::compare::CompareError;
use crate::commands::compress::{CalibratedError, SearchedError};
use crate::commands::eval::EvalError;
use crate::commands::profiles::ProfilesError;
use crate::commands::whatif::WhatIfError;
use crate::cost_model::MixError;
use crate::llama_bench::LlamaBenchError;
use crate::model_argument::ModelArgumentError;
use crate::run_record::RunRecordError;
use crate::searching::NothingChosen;
use crate::space_file::SpaceError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    BudgetMissed = 1,
    Usage = 2,
    Unusable = 3,
    VerificationFailed = 4,
    Bug = 70,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The class of an error.
    pub fn of_error(error: &anyhow::Error) -> Self {
        if let Some(error) = error.downcast_ref::<CompressError>() {
            return Self::of_compress(error);
        }
        if let Some(error) = error.downcast_ref::<PlansError>() {
            return match error {
                PlansError::NothingFits { .. } => Self::BudgetMissed,
                PlansError::Search(error) => Self::of_search(error),
                PlansError::Compress(error) => Self::of_compress(error),
                _ => Self::Usage,
            };
        }
        if error.is::<CalibratedError>() || error.is::<SearchedError>() || error.is::<NothingChosen>() {
            return Self::Usage;
        }
        if let Some(error) = error.downcast_ref::<SpaceError>() {
            return error.exit();
        }
        if let Some(error) = error.downcast_ref::<MeasureError>() {
            return if error.is_interruption() { Self::Interrupted } else { Self::Unusable };
        }
        if let Some(error) = error.downcast_ref::<EvalError>() {
            return match error {
                EvalError::OneTextPerBase { .. } => Self::Usage,
                _ => Self::Unusable,
            };
        }
        if let Some(error) = error.downcast_ref::<TaskError>() {
            return match error {
                TaskError::Forward(ForwardError::Interrupted) => Self::Interrupted,
                _ => Self::Unusable,
            };
        }
        if let Some(error) = error.downcast_ref::<ForwardError>() {
            return match error {
                ForwardError::Interrupted => Self::Interrupted,
                ForwardError::Cache { .. } => Self::Usage,
                _ => Self::Unusable,
            };
        }
        if let Some(error) = error.downcast_ref::<HubError>() {
            return match error {
                HubError::Interrupted => Self::Interrupted,
                HubError::Endpoint { .. } | HubError::Certificates { .. } | HubError::TokenText => {
                    Self::Usage
                }
                _ => Self::Unusable,
            };
        }
        if let Some(error) = error.downcast_ref::<ProfileError>() {
            return match error {
                ProfileError::Unreadable { .. } => Self::Unusable,
                _ => Self::Usage,
            };
        }
        if let Some(error) = error.downcast_ref::<ProfilesError>() {
            return match error {
                ProfilesError::UnknownSimd { .. } => Self::Usage,
                _ => Self::Unusable,
            };
        }
        if error.is::<IdError>()
            || error.is::<RequestError>()
            || error.is::<WhatIfError>()
            || error.is::<MixError>()
            || error.is::<CompareError>()
            || matches!(error.downcast_ref(), Some(CheckError::NoRun { .. }))
        {
            return Self::Usage;
        }
        if error.is::<ModelError>()
            || error.is::<ModelArgumentError>()
            || error.is::<CheckError>()
            || error.is::<RunRecordError>()
            || error.is::<LlamaBenchError>()
        {
            return Self::Unusable;
        }
        if error.is::<NoCacheFolder>() {
            return Self::Usage;
        }
        Self::Bug
    }

    fn of_compress(error: &CompressError) -> Self {
        match error {
            CompressError::Shape(ShapeRequestError::Singular { .. }) => Self::Unusable,
            CompressError::Request(_)
            | CompressError::Forward(ForwardError::Cache { .. })
            | CompressError::Shape(_)
            | CompressError::FolderTaken { .. }
            | CompressError::FolderIsSource { .. } => Self::Usage,
            CompressError::Allocation(_) => Self::BudgetMissed,
            CompressError::Vocabulary(error) => Self::of_vocabulary(error),
            CompressError::Statistics(error) => Self::of_statistics(error),
            CompressError::Interrupted => Self::Interrupted,
            CompressError::Verification(_) => Self::VerificationFailed,
            _ => Self::Unusable,
        }
    }

    fn of_search(error: &SearchError) -> Self {
        match error {
            SearchError::Study(StudyError::OtherInputs { .. } | StudyError::OtherSpace { .. })
            | SearchError::Limit { .. }
            | SearchError::EmptySpace => Self::Usage,
            _ => Self::Unusable,
        }
    }

    fn of_vocabulary(error: &VocabularyError) -> Self {
        match error {
            VocabularyError::Unreadable { .. }
            | VocabularyError::NotUtf8 { .. }
            | VocabularyError::Tokenizer(_) => Self::Unusable,
            VocabularyError::MadeOtherwise { .. }
            | VocabularyError::OtherPieces { .. }
            | VocabularyError::OtherText { .. } => Self::VerificationFailed,
            _ => Self::Usage,
        }
    }

    fn of_statistics(error: &StatisticsError) -> Self {
        match error {
            StatisticsError::LimitTooSmall { .. }
            | StatisticsError::FolderTaken { .. }
            | StatisticsError::OtherStatistics { .. } => Self::Usage,
            _ => Self::Unusable,
        }
    }
}

/// Makes a panic end with the exit code of a bug, and ask for a report.
pub fn report_bugs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        #[allow(clippy::print_stderr)] // the console may be what failed
        {
            eprintln!(
                "this is a bug in secateur {}: please report it with the lines above",
                env!("CARGO_PKG_VERSION")
            );
        }
        std::process::exit(Exit::Bug as i32);
    }));
}
