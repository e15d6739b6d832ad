//! Checks as JUnit XML, which CI systems show.

// writing to a String cannot fail
use std::fmt::Write as _;

use super::Checks;

impl Checks {
    /// A test suite with a case for each check.
    pub fn junit(&self) -> String {
        let missed = self.missed().count();
        let suite = attribute(&self.run);
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{0}\" failures=\"{missed}\">\n\
             <testsuite name=\"{suite}\" tests=\"{0}\" failures=\"{missed}\" errors=\"0\" skipped=\"0\">\n",
            self.checks.len()
        );
        for check in &self.checks {
            let case = format!("<testcase classname=\"{suite}\" name=\"{}\"", attribute(&check.name));
            if check.kept {
                let _ = writeln!(xml, "{case}/>");
            } else {
                let message = format!("found {}, allowed is {}", check.found, check.allowed);
                let _ = writeln!(
                    xml,
                    "{case}><failure message=\"{}\">{}</failure></testcase>",
                    attribute(&message),
                    attribute(&check.reason)
                );
            }
        }
        if !self.notes.is_empty() {
            let _ = writeln!(xml, "<system-out>{}</system-out>", attribute(&self.notes.join("; ")));
        }
        xml.push_str("</testsuite>\n</testsuites>\n");
        xml
    }
}

/// Text for an attribute or an element; characters that XML 1.0 forbids become `U+FFFD`.
fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::checks::example;

    #[test]
    fn a_missed_check_is_a_failure_and_names_are_escaped() {
        let xml = example().junit();
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("name=\"out/&lt;a&gt;&#10;::error::b &amp; &quot;c&quot;\""), "{xml}");
        assert_eq!((xml.matches("<failure").count(), xml.matches("name=\"max-kld\"/>").count()), (1, 1));
    }
}
