//! Numbers as people read them.

/// Bytes in powers of a thousand, as disks and download pages count: `98.4 MB`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// A count with a suffix: `134.5 M`.
pub fn count(count: u64) -> String {
    scaled(count as f64, &["", "k", "M", "G", "T"]).trim_end().to_owned()
}

/// Three significant digits and the largest unit that leaves a number of at least one.
fn scaled(value: f64, units: &[&str]) -> String {
    let mut scaled = value;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let decimals = match scaled {
        _ if unit == 0 => 0,
        scaled if scaled < 9.995 => 2,
        scaled if scaled < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {}", units[unit])
}

/// A part of a whole: `18.4 %`.
pub fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// Seconds: `0.31 s`, `4 min 10 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.2} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits_and_never_reach_a_thousand() {
        let shown = [0, 999, 1000, 999_499, 999_500, 98_362_432, 2_400_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.00 kB", "999 kB", "1.00 MB", "98.4 MB", "2.40 GB"]);
    }

    #[test]
    fn counts_have_no_unit_below_a_thousand() {
        assert_eq!(count(30), "30");
        assert_eq!(count(134_515_008), "135 M");
    }

    #[test]
    fn minutes_begin_at_sixty_seconds() {
        assert_eq!(seconds(59.0), "59.00 s");
        assert_eq!(seconds(250.4), "4 min 10 s");
    }
}
