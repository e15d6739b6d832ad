//! What bounds speed on a device.

use super::{Costs, Device, Report};
use crate::{Cell, Column, Table, units};

/// A section of the report.
pub(super) struct OnDevice {
    pub title: String,
    /// Source beside artifact.
    pub costs: Table,
    /// What a token waits for.
    pub causes: Table,
    /// How the numbers came about.
    pub remark: String,
}

impl Report {
    /// What the artifact costs on the device, if one was named.
    pub(super) fn on_device(&self) -> Option<OnDevice> {
        let device = self.device.as_ref()?;
        Some(OnDevice {
            title: format!("On {} (estimated)", device.name),
            costs: costs(device),
            causes: causes(device),
            remark: remark(device),
        })
    }
}

fn costs(device: &Device) -> Table {
    let row = |name: &str, shown: &dyn Fn(&Costs) -> String| {
        vec![name.into(), shown(&device.before).into(), shown(&device.after).into()]
    };
    let memory = |costs: &Costs| {
        let fits = if costs.memory <= device.usable_memory { "" } else { ", does not fit" };
        format!("{}{fits}", units::bytes(costs.memory))
    };
    Table {
        title: String::new(),
        columns: vec![
            Column::new("", "what"),
            Column::new("source", "source"),
            Column::new("artifact", "artifact"),
        ],
        rows: vec![
            row("memory at the peak", &memory),
            row("decoding, tokens/s", &|costs| format!("{:.1}", costs.decode)),
            row("prefill, tokens/s", &|costs| format!("{:.1}", costs.prefill)),
            row("first token", &|costs| units::seconds(costs.first_token)),
        ],
    }
}

fn causes(device: &Device) -> Table {
    let total: f64 = device.causes.iter().map(|(_, seconds)| seconds).sum();
    let row = |(cause, seconds): &(String, f64)| {
        vec![
            cause.as_str().into(),
            Cell::Number(seconds * 1e3, 3),
            Cell::Share(seconds / total.max(f64::MIN_POSITIVE)),
        ]
    };
    let mut causes: Vec<_> = device.causes.iter().filter(|(_, seconds)| *seconds > 0.0).collect();
    causes.sort_by(|left, right| right.1.total_cmp(&left.1));
    Table {
        title: String::new(),
        columns: vec![
            Column::new("a decoded token of the artifact waits for", "cause"),
            Column::new("ms", "milliseconds"),
            Column::new("share", "share"),
        ],
        rows: causes.into_iter().map(row).collect(),
    }
}

fn remark(device: &Device) -> String {
    let advice = device.advice.as_ref().map_or(String::new(), |(change, speed)| {
        format!(" Most would help: {change} ({speed:.1} tokens/s).")
    });
    format!(
        "Profile {}, runtime {}, contexts of {} tokens, prompts of {}; an app may use {}. Half of the profile's decoding speeds are off by more \
         than {}, of its prefill speeds by more than {}.{advice}",
        device.profile,
        device.runtime,
        device.context,
        device.prompt,
        units::bytes(device.usable_memory),
        units::percent(device.decode_error),
        units::percent(device.prefill_error)
    )
}
