//! A section of a page that is written by a program, and the rest of it, which is not.

use anyhow::{Context, Result};
use serde::Serialize;
use std::error::Error;
use std::{fmt, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");

/// The lines before and after the section of the benchmark `name`.
fn marks(name: &str) -> (String, String) {
    let mark = |side| format!("<!-- written by `cargo xtask bench {name} --write`: {side} -->");
    (mark("begin"), mark("end"))
}

/// A page whose section has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageError {
    begin: String,
    end: String,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page has the line `{}` and, after it, no line `{}`", self.begin, self.end)
    }
}

impl Error for PageError {}

/// What is done with a report.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Delivery {
    /// Print JSON instead of a page.
    #[arg(long)]
    pub json: bool,
    /// Write the section of docs/benchmarks.md.
    #[arg(long)]
    pub write: bool,
}

impl Delivery {
    /// Prints `report`, whose page is `markdown`, and writes that to the section of the benchmark `name`, below `heading`, as asked for.
    ///
    /// # Errors
    /// As [`write_section`].
    pub fn deliver(
        self,
        name: &str,
        heading: &str,
        report: &impl Serialize,
        markdown: &str,
    ) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(report)?);
        } else {
            println!("{markdown}");
        }
        if self.write {
            write_section(name, heading, markdown)?;
        }
        Ok(())
    }
}

/// Writes `section` of the benchmark `name`, below `heading`, to docs/benchmarks.md, and says so.
///
/// # Errors
/// As [`replace_section`]; when the page cannot be read or written.
fn write_section(name: &str, heading: &str, section: &str) -> Result<()> {
    let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    fs::write(PAGE, replace_section(&page, name, heading, section)?)
        .with_context(|| format!("cannot write {PAGE}"))?;
    eprintln!("wrote {PAGE}");
    Ok(())
}

/// `page` with `section` of the benchmark `name`, below `heading`; at its end when it has none yet.
///
/// # Errors
/// When the page has the first marker only.
pub fn replace_section(
    page: &str,
    name: &str,
    heading: &str,
    section: &str,
) -> Result<String, PageError> {
    let (begin, end) = marks(name);
    let (before, after) = match page.split_once(&begin) {
        Some((before, rest)) => {
            let (_, after) = rest
                .split_once(&end)
                .ok_or(PageError { begin: begin.clone(), end: end.clone() })?;
            (before.trim_end(), after.trim())
        }
        None => (page.trim_end(), ""),
    };
    let mut written =
        format!("{before}\n\n{begin}\n\n## {heading}\n\n{}\n\n{end}\n", section.trim());
    if !after.is_empty() {
        written.push('\n');
        written.push_str(after);
        written.push('\n');
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(page: &str, section: &str) -> Result<String, PageError> {
        replace_section(page, "one", "Heading", section)
    }

    #[test]
    fn a_section_is_appended_once_and_replaced_from_then_on() {
        let first = replaced("# Page\n\ntext\n", "one").unwrap();
        assert!(first.starts_with("# Page\n\ntext\n\n") && first.contains("\none\n"), "{first}");
        let second = replaced(&first, "two").unwrap();
        assert_eq!(second, first.replace("\none\n", "\ntwo\n"));
    }

    #[test]
    fn what_is_around_the_section_stays() {
        let (begin, end) = marks("one");
        let page = format!("before\n\n{begin}\n\nold\n\n{end}\n\nafter\n");
        let written = replaced(&page, "new").unwrap();
        assert!(written.starts_with("before\n\n") && written.ends_with("\n\nafter\n"), "{written}");
        assert!(!written.contains("old"));
        assert_eq!(replaced(&written, "new").unwrap(), written);
        let both = replace_section(&written, "two", "Other", "more").unwrap();
        assert!(both.starts_with(written.trim_end()) && both.contains("more"), "{both}");
    }

    #[test]
    fn a_section_without_an_end_is_refused() {
        let (begin, end) = marks("one");
        assert_eq!(replaced(&begin, "new"), Err(PageError { begin: begin.clone(), end }));
    }
}
