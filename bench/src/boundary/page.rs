//! A section of a page that is written by a program, and the rest of it, which is not.

use std::error::Error;
use std::fmt;

/// The line before the section.
const BEGIN: &str = "<!-- written by `cargo xtask bench boundary --write`: begin -->";
/// The line after it.
const END: &str = "<!-- written by `cargo xtask bench boundary --write`: end -->";
const HEADING: &str = "## The plugin boundary";

/// A page whose section has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageError;

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page has the line `{BEGIN}` and, after it, no line `{END}`")
    }
}

impl Error for PageError {}

/// `page` with `section` between the markers; at its end when it has none yet.
///
/// # Errors
/// When the page has the first marker only.
pub fn replace_section(page: &str, section: &str) -> Result<String, PageError> {
    let (before, after) = match page.split_once(BEGIN) {
        Some((before, rest)) => {
            let (_, after) = rest.split_once(END).ok_or(PageError)?;
            (before.trim_end(), after.trim())
        }
        None => (page.trim_end(), ""),
    };
    let mut written = format!("{before}\n\n{BEGIN}\n\n{HEADING}\n\n{}\n\n{END}\n", section.trim());
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

    #[test]
    fn a_section_is_appended_once_and_replaced_from_then_on() {
        let first = replace_section("# Page\n\ntext\n", "one").unwrap();
        assert!(first.starts_with("# Page\n\ntext\n\n") && first.contains("\none\n"), "{first}");
        let second = replace_section(&first, "two").unwrap();
        assert_eq!(second, first.replace("\none\n", "\ntwo\n"));
    }

    #[test]
    fn what_is_around_the_section_stays() {
        let page = format!("before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n");
        let written = replace_section(&page, "new").unwrap();
        assert!(written.starts_with("before\n\n") && written.ends_with("\n\nafter\n"), "{written}");
        assert!(!written.contains("old"));
        assert_eq!(replace_section(&written, "new").unwrap(), written);
    }

    #[test]
    fn a_section_without_an_end_is_refused() {
        assert_eq!(replace_section(BEGIN, "new"), Err(PageError));
    }
}
