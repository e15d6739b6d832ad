//! Texts that pass side by side: no thread waits for another at every step, while the disk is read, or while sums are made.

use rayon::prelude::*;

/// Texts in work at a time. Each step inside a text is spread over threads as well, so two keep all of them busy; memory holds six: two more are read
/// ahead, and two are done.
const SIDE_BY_SIDE: usize = 2;

/// Takes texts through `work`. `begin`, which fetches what it needs of one, and `end`, which keeps what it gives, see the texts one by one and in
/// their order, so that sums do not depend on the number of threads.
///
/// # Errors
/// That of a step that fails; nothing more is begun then.
pub(crate) fn side_by_side<S: Send, T: Send, R: Send, E: Send>(
    state: &mut S,
    texts: usize,
    begin: impl Fn(&mut S, usize) -> Result<T, E> + Sync,
    work: impl Fn(usize, T) -> Result<R, E> + Sync,
    end: impl Fn(&mut S, usize, R) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let fetch = |state: &mut S, first: usize| {
        (first..texts.min(first + SIDE_BY_SIDE))
            .map(|text| Ok((text, begin(state, text)?)))
            .collect::<Result<Vec<_>, E>>()
    };
    let keep = |state: &mut S, done: Vec<(usize, R)>| {
        done.into_iter().try_for_each(|(text, result)| end(state, text, result))
    };
    let mut next = fetch(state, 0)?;
    let mut done = Vec::new();
    for first in (0..texts).step_by(SIDE_BY_SIDE) {
        let (now, before) = (next, done);
        let (worked, fetched) = rayon::join(
            || {
                let work = |(text, fetched)| Ok((text, work(text, fetched)?));
                now.into_par_iter().map(work).collect::<Result<Vec<_>, E>>()
            },
            || {
                keep(state, before)?;
                fetch(state, first + SIDE_BY_SIDE)
            },
        );
        (done, next) = (worked?, fetched?);
    }
    keep(state, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_begun_worked_on_and_ended_in_order() {
        for texts in 0..8 {
            let mut state = (Vec::new(), Vec::new());
            let begin = |state: &mut (Vec<usize>, Vec<usize>), text| {
                state.0.push(text);
                Ok::<_, ()>(text * 10)
            };
            let work = |text, fetched| Ok(text + fetched);
            let end = |state: &mut (Vec<usize>, Vec<usize>), text, result| {
                assert_eq!(result, text * 11);
                state.1.push(text);
                Ok(())
            };
            side_by_side(&mut state, texts, begin, work, end).unwrap();
            assert_eq!(state.0, (0..texts).collect::<Vec<_>>());
            assert_eq!(state.0, state.1);
        }
    }

    #[test]
    fn what_cannot_be_fetched_or_kept_stops_everything() {
        for failing in 0..5 {
            let fail = |text| if text == failing { Err(text) } else { Ok(()) };
            let (mut begun, mut ended) = (0, Vec::new());
            let begin = |begun: &mut usize, text| {
                *begun += 1;
                fail(text)
            };
            assert_eq!(side_by_side(&mut begun, 5, begin, |_, ()| Ok(()), |_, _, ()| Ok(())), Err(failing));
            assert_eq!(begun, failing + 1);
            let end = |ended: &mut Vec<usize>, text, ()| {
                ended.push(text);
                fail(text)
            };
            assert_eq!(side_by_side(&mut ended, 5, |_, _| Ok(()), |_, ()| Ok(()), end), Err(failing));
            assert_eq!(ended, (0..=failing).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_fails_stops_everything() {
        for failing in 0..5 {
            let mut ended = 0;
            let work = |text, ()| if text == failing { Err(text) } else { Ok(()) };
            let end = |ended: &mut usize, _, ()| {
                *ended += 1;
                Ok(())
            };
            assert_eq!(side_by_side(&mut ended, 5, |_, _| Ok(()), work, end), Err(failing));
            assert!(ended <= failing, "{ended}");
        }
    }
}
