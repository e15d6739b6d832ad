//! Which tokens stay.

use secateur_model::tokenizer::{Making, Tokenizer};

use super::drop_order::drop_order;
use super::gate::makings;
use super::{Counts, Scripts, VocabularyError};

/// Vocabularies have a multiple of this many tokens, so that matrices fill whole blocks.
const MULTIPLE: usize = 64;

/// How far a vocabulary is cut.
#[derive(Debug, Clone)]
pub enum Target {
    /// To this many tokens, rounded up to a multiple of 64.
    Size(usize),
    /// As far as the tokens that stay are this share of all occurrences in the texts, above 0 and up to 1.
    Coverage(f64),
    /// To the tokens of a list, those that must stay, and what these are made of.
    Tokens(Vec<u32>),
    /// To the tokens of some scripts, those that must stay, and what these are made of.
    Scripts(Scripts),
}

impl Target {
    /// True if nothing can be chosen without texts.
    fn needs_texts(&self) -> bool {
        matches!(self, Self::Size(_) | Self::Coverage(_))
    }

    /// True if it goes by what a model [expects](super::expected_use), too. A coverage is one of the texts, whatever others may have.
    pub fn asks_model(&self) -> bool {
        matches!(self, Self::Size(_))
    }

    /// Checks that a vocabulary with room for so many added tokens can have this size, before anything is counted.
    ///
    /// # Errors
    /// If that is smaller than what must stay, or larger than the vocabulary.
    pub fn check(&self, tokenizer: &Tokenizer, room: usize) -> Result<(), VocabularyError> {
        let &Self::Size(asked) = self else { return Ok(()) };
        let tokens = tokenizer.tokens.len();
        let wanted = without_room(asked, tokens, room)?;
        let stays = with_parts(&makings(tokenizer)?, required(tokenizer, tokens));
        possible(wanted, tokens, stays.iter().filter(|&&stays| stays).count(), room).map(|_| ())
    }
}

/// The tokens that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Their ids, ascending.
    pub kept: Vec<u32>,
    /// How many of them had to stay, whatever the texts.
    pub required: usize,
}

/// Chooses the tokens that stay. `making` tells of each token what it is made of; `room` is for so many tokens that will be
/// added: with them the vocabulary has a size that is a multiple of 64.
///
/// Tokens that no text leads to go first, then the least used (for a size, the least used and expected together) of those
/// that nothing left is made of, the higher id first. What would be dropped last fills the vocabulary up to the multiple.
///
/// # Errors
/// When there is no text for a target that needs it, or the size is smaller than what must stay or larger than the
/// vocabulary.
pub fn choose(
    tokenizer: &Tokenizer,
    making: &[Making],
    counts: &Counts,
    target: &Target,
    room: usize,
) -> Result<Chosen, VocabularyError> {
    let tokens = tokenizer.tokens.len();
    let required = required(tokenizer, tokens);
    if target.needs_texts() {
        check_counts(counts, tokenizer)?;
    }
    let pinned = pinned(tokenizer, making, target, &required);
    let is_alive = |id: u32| counts.weight(id) > 0 || is_reachable(tokenizer, making, id);
    let wanted = |id: u32| if target.asks_model() { counts.wanted(id) } else { counts.weight(id) };
    let order = drop_order(making, &pinned, |id| (is_alive(id), wanted(id)));

    let wanted = match target {
        &Target::Size(asked) => without_room(asked, tokens, room)?,
        &Target::Coverage(share) => tokens - covering(&order, counts, share)?,
        Target::Tokens(_) | Target::Scripts(_) => tokens - order.len(),
    };
    let size = possible(wanted, tokens, tokens - order.len(), room)?;
    let mut stays = vec![true; tokens];
    for &id in &order[..tokens - size] {
        stays[id as usize] = false;
    }
    Ok(Chosen {
        kept: (0..tokens as u32).filter(|&id| stays[id as usize]).collect(),
        required: with_parts(making, required).iter().filter(|&&stays| stays).count(),
    })
}

/// The tokens of the parent in a vocabulary of `asked` that has room.
fn without_room(asked: usize, tokens: usize, room: usize) -> Result<usize, VocabularyError> {
    if asked > tokens + room {
        return Err(VocabularyError::TooLarge { asked, tokens });
    }
    Ok(asked.saturating_sub(room))
}

/// The size, a multiple of 64 with the room, for so many wanted tokens of the parent, of which `required` must stay.
fn possible(wanted: usize, tokens: usize, required: usize, room: usize) -> Result<usize, VocabularyError> {
    let size = rounded(wanted, room).min(tokens);
    if size < required {
        return Err(VocabularyError::TooSmall { asked: wanted + room, required });
    }
    Ok(size)
}

fn rounded(wanted: usize, room: usize) -> usize {
    (wanted + room).next_multiple_of(MULTIPLE) - room
}

fn required(tokenizer: &Tokenizer, tokens: usize) -> Vec<bool> {
    let mut required = vec![false; tokens];
    for id in tokenizer.required().into_keys() {
        required[id as usize] = true;
    }
    required
}

/// What is not to be dropped: what must stay, and what the target names.
fn pinned(tokenizer: &Tokenizer, making: &[Making], target: &Target, required: &[bool]) -> Vec<bool> {
    let mut pinned = required.to_vec();
    match target {
        Target::Size(_) | Target::Coverage(_) => {}
        Target::Tokens(ids) => {
            for &id in ids {
                if let Some(pinned) = pinned.get_mut(id as usize) {
                    *pinned = true;
                }
            }
        }
        Target::Scripts(scripts) => {
            for (id, pinned) in (0..).zip(&mut pinned) {
                *pinned |= is_reachable(tokenizer, making, id) && scripts.hold(&tokenizer.bytes_of(id));
            }
        }
    }
    pinned
}

/// Adds what the tokens are made of, down to symbols.
fn with_parts(making: &[Making], mut wanted: Vec<bool>) -> Vec<bool> {
    let mut open: Vec<u32> = (0..wanted.len() as u32).filter(|&id| wanted[id as usize]).collect();
    while let Some(id) = open.pop() {
        for part in making[id as usize].parts() {
            if !std::mem::replace(&mut wanted[part as usize], true) {
                open.push(part);
            }
        }
    }
    wanted
}

/// True if texts can have this token, and were meant to.
fn is_reachable(tokenizer: &Tokenizer, making: &[Making], id: u32) -> bool {
    making[id as usize] != Making::Never && !tokenizer.tokens[id as usize].is_spare()
}

/// How many tokens of the order can be dropped so that the share of occurrences that are kept is not below `share`.
fn covering(order: &[u32], counts: &Counts, share: f64) -> Result<usize, VocabularyError> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(VocabularyError::Coverage { asked: share });
    }
    let needed = (share * counts.total() as f64).ceil() as u64;
    let mut may_go = counts.total().saturating_sub(needed);
    let fits = |&&id: &&u32| match may_go.checked_sub(counts.in_texts(id)) {
        Some(rest) => {
            may_go = rest;
            true
        }
        None => false,
    };
    Ok(order.iter().take_while(fits).count())
}

fn check_counts(counts: &Counts, tokenizer: &Tokenizer) -> Result<(), VocabularyError> {
    if counts.total() == 0 {
        return Err(VocabularyError::NoText);
    }
    let special = counts.total_of(|id| tokenizer.tokens[id as usize].is_control());
    if special == counts.total() {
        return Err(VocabularyError::OnlySpecial { tokens: special });
    }
    Ok(())
}
