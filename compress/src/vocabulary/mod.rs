//! A smaller vocabulary: which tokens stay, and the proof that texts made of them are tokenized as before.
//!
//! [`Counts`] tells how often texts use each token, [`expected_use`] how often a model thinks that they could, [`choose`] drops the least used that nothing kept is made of, a gate
//! takes texts through both tokenizers before anything is written, and [`VocabularyReport`] tells what it was worth.
//! [`cut`] does all of it; [`CountedTexts`] has those that a search tries. [`with_vocabulary`] applies one to a model.

mod added_rows;
mod additions;
mod choose;
mod counts;
mod cut;
mod drop_order;
mod error;
mod expected;
mod gate;
mod keep_list;
mod report;
mod respell;
mod scripts;
mod sizes;
#[cfg(test)]
mod tests;
mod text;

pub use added_rows::with_vocabulary;
pub use additions::{AddedToken, Additions, add_tokens, read_additions};
pub use choose::{Chosen, Target, choose};
pub use counts::Counts;
pub use cut::{VocabularyCut, cut};
pub use error::VocabularyError;
pub use expected::expected_use;
pub use gate::GateCounts;
pub use keep_list::{read_keep_list, read_list_file};
pub use report::{TextReport, VocabularyReport};
pub use respell::respell;
pub use scripts::Scripts;
pub use sizes::{CountedTexts, SmallerVocabulary};
pub use text::NamedText;
