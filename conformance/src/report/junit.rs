//! JUnit XML, as continuous integration reads it.

use super::{Certificate, Report, seconds};
use crate::case::category_title;
use crate::job::Outcome;

pub(super) fn render(report: &Report) -> String {
    let Certificate { counts, plugin, seed, duration_ms, .. } = &report.certificate;
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conformance of {}\" tests=\"{}\" failures=\"{}\" \
         errors=\"{}\" skipped=\"{}\" time=\"{}\">\n  <properties><property name=\"seed\" value=\"{seed}\"/></properties>\n",
        escaped(plugin),
        report.cases.len(),
        counts.failed,
        counts.crashed + counts.timed_out,
        counts.skipped,
        seconds(*duration_ms),
    );
    for case in &report.cases {
        let message = escaped(case.outcome.message());
        let inner = match case.outcome {
            Outcome::Passed => String::new(),
            Outcome::Failed(_) => format!("<failure message=\"{message}\"/>"),
            Outcome::Crashed(_) | Outcome::TimedOut(_) => {
                format!("<error type=\"{}\" message=\"{message}\"/>", case.outcome.word())
            }
            Outcome::Skipped(_) => format!("<skipped message=\"{message}\"/>"),
        };
        xml.push_str(&format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{}\">{inner}</testcase>\n",
            escaped(category_title(case.category)),
            case.id,
            seconds(case.duration_ms)
        ));
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// `text` for an attribute; what XML 1.0 cannot hold, not even as a reference, becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // As they are, a parser would make spaces of them.
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    /// Checks that elements nest and attributes are quoted, and returns the attributes of every element, unescaped.
    fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
        let body =
            xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a head");
        let (mut found, mut open, mut rest) = (Vec::new(), Vec::new(), body);
        while let Some(start) = rest.find('<') {
            assert_eq!(rest[..start].trim(), "", "text between elements");
            let end = rest.find('>').expect("an element ends");
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            assert!(!tag.contains('<'), "`<` in {tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            found.push((name.to_owned(), attributes_of(attributes)));
            if !closed {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} is not closed");
        found
    }

    fn attributes_of(mut text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while !text.trim().is_empty() {
            let (name, rest) = text.split_once("=\"").expect("an attribute has a quoted value");
            let (value, rest) = rest.split_once('"').expect("a value ends");
            let allowed =
                |c: char| c >= ' ' && !matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
            assert!(value.chars().all(allowed), "{value:?}");
            let mut plain = value.to_owned();
            for (entity, character) in [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&#10;", "\n"),
                ("&#9;", "\t"),
                ("&#13;", "\r"),
            ] {
                plain = plain.replace(entity, character);
            }
            assert!(!plain.replace("&amp;", "").contains('&'), "an unknown entity in {value}");
            found.push((name.trim().to_owned(), plain.replace("&amp;", "&")));
            text = rest;
        }
        found
    }

    #[test]
    fn every_message_comes_back_out_of_the_xml() {
        let hostile = "a < b & \"c\" > d\n\tand\r &lt; ]]> \u{fc}";
        let xml = render(&report(&[
            Outcome::Failed(hostile.into()),
            Outcome::Crashed(hostile.into()),
            Outcome::Skipped(hostile.into()),
        ]));
        let found = elements(&xml);
        for name in ["failure", "error", "skipped"] {
            let (_, attributes) = found.iter().find(|(found, _)| found == name).expect(name);
            let message = attributes.iter().find(|(name, _)| name == "message");
            assert_eq!(message.map(|(_, text)| text.as_str()), Some(hostile), "{name}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_xml() {
        let xml = render(&report(&[Outcome::Failed("\0\u{1b}[31m\u{85}\u{7f}\u{ffff}x".into())]));
        let found = elements(&xml);
        let (_, attributes) = found.iter().find(|(name, _)| name == "failure").expect("a failure");
        assert_eq!(attributes[0].1, "\u{fffd}\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}x");
    }

    #[test]
    fn the_head_counts_every_kind_of_outcome() {
        let xml = render(&report(&[
            Outcome::Passed,
            Outcome::Failed("f".into()),
            Outcome::Crashed("c".into()),
            Outcome::TimedOut("t".into()),
            Outcome::Skipped("s".into()),
        ]));
        let found = elements(&xml);
        let (name, head) = &found[0];
        let count =
            |wanted: &str| head.iter().find(|(name, _)| name == wanted).map(|(_, n)| n.as_str());
        assert_eq!(name, "testsuite");
        assert_eq!(
            ["tests", "failures", "errors", "skipped"].map(count),
            [Some("5"), Some("1"), Some("2"), Some("1")]
        );
        assert_eq!(found.iter().filter(|(name, _)| name == "testcase").count(), 5);
    }
}
