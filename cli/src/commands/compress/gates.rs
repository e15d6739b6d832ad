//! Budgets that a plan can be judged by before it is carried out.

use secateur_model::Checkpoint;
use secateur_model::plan::Plan;
use secateur_profiles::Budget;
use secateur_profiles::cost::Workload;
use secateur_reports::checks::Check;
use secateur_reports::report::Device;

use crate::arguments::CompressArguments;
use crate::commands::whatif::{check_power, load_profiles};
use crate::cost_model::stored;
use crate::device::{Asked, check};

/// The size by counting; memory and speeds on the profile's device, which the report tells too, by estimates.
pub fn judge(
    arguments: &CompressArguments,
    checkpoint: &Checkpoint,
    plan: &Plan,
) -> anyhow::Result<(Vec<Check>, Option<Device>)> {
    let size = Budget { max_size: arguments.max_size, ..Budget::default() };
    let mut checks: Vec<_> =
        size.judge(plan.gguf_bytes).iter().map(|verdict| check(verdict, "counted")).collect();
    let Some(name) = &arguments.gates.profile else { return Ok((checks, None)) };
    let mut report = None;
    let profiles = load_profiles(std::slice::from_ref(name))?;
    check_power(&profiles, arguments.gates.max_energy)?;
    for profile in profiles {
        let mut device = Asked::new(&profile, checkpoint.spec.context_length)?.with_cache(plan.cache);
        // as the search has it
        device.usage.context = arguments.effort.context.min(checkpoint.spec.context_length);
        let artifact = Workload::new(&checkpoint.spec, &plan.tensors, plan.gguf_bytes);
        checks.extend(device.checks(&arguments.gates.budget(), &artifact));
        report = Some(device.report(&stored(checkpoint)?, &artifact));
    }
    Ok((checks, report))
}
