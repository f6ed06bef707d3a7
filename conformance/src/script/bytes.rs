//! The words of a line.

use supervm_plugin_sdk::Limits;

/// Characters that end a word outside quotation marks.
const MARKS: &str = " =[]{}(),\"+*#\\";

/// Bytes whose length may depend on the backend's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(Vec<(Vec<u8>, Count)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Fixed(usize),
    KeyMax,
    ValueMax,
}

impl Bytes {
    pub(super) fn empty() -> Self {
        Self(Vec::new())
    }

    pub(super) fn eval(&self, limits: &Limits) -> Vec<u8> {
        let repeated = self.0.iter().map(|(bytes, count)| {
            bytes.repeat(match count {
                Count::Fixed(count) => *count,
                Count::KeyMax => limits.key_bytes_max as usize,
                Count::ValueMax => limits.value_bytes_max as usize,
            })
        });
        repeated.collect::<Vec<_>>().concat()
    }
}

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner {
    rest: &'static str,
}

impl Scanner {
    pub(super) fn new(line: &'static str) -> Self {
        Self { rest: line.trim() }
    }

    pub(super) fn rest(&self) -> &'static str {
        self.rest
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn at(&self, mark: &str) -> bool {
        self.rest.starts_with(mark)
    }

    /// Takes `mark` and the spaces after it, if it comes next.
    pub(super) fn takes(&mut self, mark: &str) -> bool {
        let taken = self.rest.strip_prefix(mark);
        if let Some(rest) = taken {
            self.rest = rest.trim_start();
        }
        taken.is_some()
    }

    /// As [`takes`](Self::takes), for a word that must not go on.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let ends = |rest: &str| rest.chars().next().is_none_or(|next| MARKS.contains(next));
        self.rest.strip_prefix(word).is_some_and(ends) && self.takes(word)
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.takes(mark) { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    pub(super) fn expect_end(&self) -> Result<(), String> {
        if self.at_end() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    fn expected(&self, what: &str) -> String {
        let found = if self.at_end() { "the end of the line" } else { self.rest };
        format!("expected {what}, found `{found}`")
    }

    /// A word without escapes: a verb or a name.
    pub(super) fn word(&mut self) -> Result<&'static str, String> {
        let end = self.rest.find(|next| MARKS.contains(next)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.expected("a word"));
        }
        self.rest = rest.trim_start();
        Ok(word)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, String> {
        let mut parts = Vec::new();
        loop {
            let text = if self.at("\"") { self.quoted()? } else { self.bare()? };
            let times = self.rest.strip_prefix('*');
            let count = match times {
                Some(rest) => {
                    self.rest = rest;
                    self.count()?
                }
                None => Count::Fixed(1),
            };
            parts.push((text, count));
            match self.rest.strip_prefix('+') {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.rest = self.rest.trim_start();
        Ok(Bytes(parts))
    }

    fn count(&mut self) -> Result<Count, String> {
        let end = self.rest.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
        let (count, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let parsed = match count {
            "key_max" => Count::KeyMax,
            "value_max" => Count::ValueMax,
            digits => Count::Fixed(
                digits
                    .parse()
                    .map_err(|_| self.expected("a number, `key_max` or `value_max` after `*`"))?,
            ),
        };
        self.rest = rest;
        Ok(parsed)
    }

    fn bare(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while let Some(next) = self.rest.chars().next() {
            if next == '\\' {
                bytes.push(self.escape()?);
            } else if MARKS.contains(next) || !next.is_ascii_graphic() {
                break;
            } else {
                bytes.push(next as u8);
                self.rest = &self.rest[1..];
            }
        }
        if bytes.is_empty() {
            return Err(self.expected("bytes (the empty ones are `\"\"`)"));
        }
        Ok(bytes)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let whole = self.rest;
        let mut bytes = Vec::new();
        self.rest = &self.rest[1..];
        loop {
            match self.rest.chars().next() {
                Some('"') => break,
                Some('\\') => bytes.push(self.escape()?),
                Some(next) => {
                    bytes.extend(next.encode_utf8(&mut [0; 4]).bytes());
                    self.rest = &self.rest[next.len_utf8()..];
                }
                None => return Err(format!("no closing quotation mark in `{whole}`")),
            }
        }
        self.rest = &self.rest[1..];
        Ok(bytes)
    }

    /// `\xHH`, `\\` or `\"`.
    fn escape(&mut self) -> Result<u8, String> {
        let rest = &self.rest[1..];
        let (byte, length) = match rest.chars().next() {
            Some('\\') => (b'\\', 1),
            Some('"') => (b'"', 1),
            Some('x') => {
                let digits =
                    rest.get(1..3).filter(|two| two.chars().all(|c| c.is_ascii_hexdigit()));
                let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                (byte.ok_or_else(|| self.expected("two hexadecimal digits after `\\x`"))?, 3)
            }
            _ => return Err(self.expected("`\\xHH`, `\\\\` or `\\\"`")),
        };
        self.rest = &rest[length..];
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Result<Vec<u8>, String> {
        let mut scanner = Scanner::new(text);
        let bytes = scanner.bytes()?;
        scanner.expect_end()?;
        Ok(bytes.eval(&Limits::CONTRACT))
    }

    #[test]
    fn words_escapes_and_repetitions_are_bytes() {
        for (text, expected) in [
            ("abc", b"abc".to_vec()),
            ("\"\"", vec![]),
            ("\"a b\"", b"a b".to_vec()),
            ("\"say \\\"a\\\"\"", b"say \"a\"".to_vec()),
            ("a\\x00\\xff\\\\", b"a\0\xff\\".to_vec()),
            ("ab*3", b"ababab".to_vec()),
            ("a+\\xff*2+\"\"+b", b"a\xff\xffb".to_vec()),
            ("account/1", b"account/1".to_vec()),
            ("\"\u{e4}\"", "\u{e4}".as_bytes().to_vec()),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_count_may_be_a_limit() {
        let limits = Limits::CONTRACT;
        assert_eq!(bytes("k*key_max+k").map(|key| key.len() as u64), Ok(limits.key_bytes_max + 1));
        assert_eq!(
            bytes("v*value_max").map(|value| value.len() as u64),
            Ok(limits.value_bytes_max)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("a\\y", "`\\xHH`"),
            ("a\\xf", "two hexadecimal digits"),
            ("\"a", "no closing quotation mark"),
            ("a*many", "a number"),
            ("", "expected bytes"),
            ("a b", "expected the end of the line, found `b`"),
        ] {
            let error = bytes(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
