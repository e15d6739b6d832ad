//! What plans lose in truth: a model in the plan's shape, its matrices rounded to the plan's types, on sequences of tokens beside its parent.

use secateur_compress::CompressError;
use secateur_search::{Evaluate, Task};

use crate::{Plans, Yardstick};

/// Measures plans on a yardstick, in nats per token, a chunk a sequence.
pub struct Measurer<'p, 'a> {
    plans: &'p Plans<'a>,
    yardstick: &'p Yardstick<'a>,
}

impl<'p, 'a> Measurer<'p, 'a> {
    /// Plans of a model on sequences of the same model.
    pub fn new(plans: &'p Plans<'a>, yardstick: &'p Yardstick<'a>) -> Self {
        Self { plans, yardstick }
    }
}

impl Evaluate for Measurer<'_, '_> {
    type Error = CompressError;

    fn chunks(&self) -> usize {
        self.yardstick.sequences().len()
    }

    fn evaluate(
        &self,
        tasks: &[Task],
        done: &(dyn Fn(usize, &[f64]) + Sync),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), CompressError> {
        // one after the other: the forward pass uses all cores
        for (index, task) in tasks.iter().enumerate() {
            if interrupted() {
                return Ok(());
            }
            let model = self.plans.rounded_model(&task.plan)?;
            done(index, &self.yardstick.divergences(&model, task.chunks.clone())?);
        }
        Ok(())
    }
}
