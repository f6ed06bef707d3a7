//! Bytes as people type and read them: text where it is printable, else `0x` and hex digits.
//!
//! The printed form reads back as the same bytes: text that begins with `0x` is printed as hex digits.

use std::fmt;

/// Keys, values and events of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

const HEX_PREFIX: &str = "0x";

/// Text as it is, or what the hex digits after `0x` stand for.
pub(crate) fn parse(text: &str) -> Result<Bytes, String> {
    match text.strip_prefix(HEX_PREFIX) {
        Some(digits) => parse_digits(digits).map(Bytes),
        None => Ok(Bytes(text.as_bytes().to_vec())),
    }
}

/// An address: `0x` and 40 hex digits.
pub(crate) fn parse_address(text: &str) -> Result<[u8; 20], String> {
    let expected = || format!("\"{text}\" is no address; expected 0x and 40 hex digits");
    let digits = text.strip_prefix(HEX_PREFIX).ok_or_else(expected)?;
    parse_digits(digits)?.try_into().map_err(|_| expected())
}

/// What pairs of hex digits stand for.
pub(crate) fn parse_digits(digits: &str) -> Result<Vec<u8>, String> {
    hex::decode(digits).map_err(|error| match error {
        hex::FromHexError::OddLength => {
            format!("0x{digits} has {} hex digits; expected pairs of them", digits.len())
        }
        error => format!("0x{digits} is not hex: {}", error.to_string().to_lowercase()),
    })
}

/// `0x` and hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("{HEX_PREFIX}{}", hex::encode(bytes))
}

/// The bytes as text when they are text that can be shown and cannot be taken for hex digits.
pub(crate) fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_shown = !text.is_empty() && !text.chars().any(char::is_control);
    (is_shown && !text.starts_with(HEX_PREFIX)).then_some(text)
}

/// Text of a contract as part of a message: what would move the cursor or begin a line is escaped.
pub(crate) fn single_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// The form in which bytes are shown.
pub(crate) fn shown(bytes: &[u8]) -> String {
    printable(bytes).map_or_else(|| hex(bytes), str::to_owned)
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_as_the_same_bytes() {
        let samples: [&[u8]; 8] =
            [b"", b"text", b"0x61", b"0x", b"\x00\xff", b"two\tparts", "größe".as_bytes(), b"0X1"];
        for bytes in samples {
            assert_eq!(parse(&shown(bytes)), Ok(Bytes(bytes.to_vec())), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_of_a_contract_cannot_write_to_the_terminal() {
        assert_eq!(single_line("größe \u{1b}[31m\nresult 5"), "größe \\u{1b}[31m\\nresult 5");
    }

    #[test]
    fn half_a_byte_and_other_letters_are_refused() {
        assert!(parse("0x123").is_err_and(|error| error.contains("3 hex digits")));
        assert!(parse("0xzz").is_err_and(|error| error.contains("is not hex")));
        assert!(parse_address("0x12").is_err_and(|error| error.contains("40 hex digits")));
    }
}
