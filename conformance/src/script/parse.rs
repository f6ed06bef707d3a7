//! From text to cases.

use super::bytes::Scanner;
use super::step::{Scope, error_kind};
use super::{Change, Line, Script, Step};
use crate::case::Case;
use std::fmt;
use supervm_plugin_sdk::Capability;

/// What is wrong with a script, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScriptError {
    file: &'static str,
    line: usize,
    message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// The cases of a file.
pub(super) fn parse(file: &'static str, text: &'static str) -> Result<Vec<Case>, ScriptError> {
    let mut parser = Parser::new(file);
    for (index, line) in text.lines().enumerate() {
        let failed = |message| ScriptError { file, line: index + 1, message };
        parser.line(index + 1, line).map_err(failed)?;
    }
    let failed = |message| ScriptError { file, line: text.lines().count(), message };
    parser.end_case().map_err(failed)?;
    Ok(parser.cases)
}

/// The second direction of a file's cases.
#[derive(Clone, Copy)]
struct Mirror {
    word: &'static str,
    category: char,
    replacement: &'static str,
}

/// A case that is being read.
struct Draft {
    id: &'static str,
    clauses: Vec<u8>,
    rule: Option<&'static str>,
    lines: Vec<Line>,
    scope: Scope,
    /// The changes of a batch whose `}` has not come yet, and where it began.
    batch: Option<(usize, &'static str, bool, Vec<Change>)>,
}

struct Parser {
    file: &'static str,
    category: Option<char>,
    mirror: Option<Mirror>,
    draft: Option<Draft>,
    cases: Vec<Case>,
}

impl Parser {
    fn new(file: &'static str) -> Self {
        Self { file, category: None, mirror: None, draft: None, cases: Vec::new() }
    }

    fn line(&mut self, number: usize, line: &'static str) -> Result<(), String> {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if line.starts_with(' ') {
            let draft = self.draft.as_mut().ok_or("a step before the first case")?;
            return draft.step_line(number, text);
        }
        let (key, value) = text.split_once(' ').unwrap_or((text, ""));
        match key {
            "category" => {
                self.end_case()?;
                self.category = Some(letter(value)?);
                Ok(())
            }
            "mirror" => {
                self.mirror = Some(mirror(value)?);
                Ok(())
            }
            "case" => {
                self.end_case()?;
                self.draft = Some(Draft::new(value.trim()));
                Ok(())
            }
            _ => self
                .draft
                .as_mut()
                .ok_or("a head line before the first case")?
                .head(key, value.trim()),
        }
    }

    fn end_case(&mut self) -> Result<(), String> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let category = self.category.ok_or("no `category` before the first case")?;
        let script = |mirrored| Script { file: self.file, lines: draft.lines.clone(), mirrored };
        self.cases.push(draft.case(
            category,
            draft.id,
            draft.scope.needs.clone(),
            script(false),
        )?);
        if let Some(mirror) = self.mirror {
            let id = draft.id.replace(mirror.word, mirror.replacement);
            if id == draft.id {
                return Err(format!("`{}` has no `{}` to be replaced", draft.id, mirror.word));
            }
            let needs = [draft.scope.needs.as_slice(), &[Capability::ReverseCursor]].concat();
            self.cases.push(draft.case(mirror.category, id.leak(), needs, script(true))?);
        }
        Ok(())
    }
}

fn letter(text: &str) -> Result<char, String> {
    match text.trim().as_bytes() {
        [letter @ b'A'..=b'Z'] => Ok(char::from(*letter)),
        _ => Err(format!("a category is a capital letter, not `{text}`")),
    }
}

fn mirror(text: &'static str) -> Result<Mirror, String> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [word, category, replacement] => {
            Ok(Mirror { word, category: letter(category)?, replacement })
        }
        _ => Err("expected `mirror WORD CATEGORY REPLACEMENT`".into()),
    }
}

impl Draft {
    fn new(id: &'static str) -> Self {
        Self {
            id,
            clauses: Vec::new(),
            rule: None,
            lines: Vec::new(),
            scope: Scope::default(),
            batch: None,
        }
    }

    fn case(
        &self,
        category: char,
        id: &'static str,
        needs: Vec<Capability>,
        script: Script,
    ) -> Result<Case, String> {
        let rule = self.rule.ok_or_else(|| format!("case {id} has no `rule`"))?;
        if self.batch.is_some() {
            return Err(format!("a batch of case {id} has no `}}`"));
        }
        if self.clauses.is_empty() || self.lines.is_empty() {
            return Err(format!("case {id} has no `clauses` or no steps"));
        }
        let case = Case::script(category, id, self.clauses.clone().leak(), rule, script);
        Ok(case.needs(needs.leak()))
    }

    fn head(&mut self, key: &str, value: &'static str) -> Result<(), String> {
        if !self.lines.is_empty() {
            return Err(format!("`{key}` after the steps; indent a step"));
        }
        let items = value.split(',').map(str::trim);
        match key {
            "clauses" => {
                let parsed = items.map(|item| item.parse().ok().filter(|n| (1..=30).contains(n)));
                self.clauses = parsed.collect::<Option<_>>().ok_or("clauses are 1 to 30")?;
            }
            "needs" => {
                let known = items.map(|item| {
                    Capability::from_name(item).ok_or(format!("unknown capability `{item}`"))
                });
                self.scope.needs = known.collect::<Result<_, _>>()?;
            }
            "rule" => self.rule = Some(value),
            _ => {
                return Err(format!(
                    "unknown head line `{key}`; known: category, mirror, case, clauses, needs, rule"
                ));
            }
        }
        Ok(())
    }

    fn step_line(&mut self, number: usize, text: &'static str) -> Result<(), String> {
        let mut scanner = Scanner::new(text);
        if let Some((begun, first, synced, mut changes)) = self.batch.take() {
            if !scanner.takes("}") {
                changes.extend(self.scope.changes(&mut scanner)?);
                scanner.expect_end()?;
                self.batch = Some((begun, first, synced, changes));
                return Ok(());
            }
            return self.push(begun, first, Step::Write { changes, synced }, scanner);
        }
        if scanner.takes_word("batch") {
            let synced = scanner.takes_word("synced");
            if synced {
                self.scope.require(Capability::SyncedWrites)?;
            }
            scanner.expect("{")?;
            scanner.expect_end()?;
            self.batch = Some((number, text, synced, Vec::new()));
            return Ok(());
        }
        if ["put", "delete", "delete-range"].iter().any(|verb| scanner.clone().takes_word(verb)) {
            let changes = self.scope.changes(&mut scanner)?;
            return self.push(number, text, Step::Write { changes, synced: false }, scanner);
        }
        let step = self.scope.step(&mut scanner)?;
        self.push(number, text, step, scanner)
    }

    /// Ends a line: a refusal may follow, and nothing else.
    fn push(
        &mut self,
        number: usize,
        text: &'static str,
        step: Step,
        mut scanner: Scanner,
    ) -> Result<(), String> {
        let refused = if scanner.takes("->") {
            scanner.expect("error ")?;
            Some(error_kind(scanner.word()?)?)
        } else {
            None
        };
        scanner.expect_end()?;
        self.lines.push(Line { number, text, step, refused });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_what_its_head_says() {
        let text = "category K\ncase a.b\nclauses 1, 30\nneeds snapshot, compact\nrule A rule.\n  get a -> absent\n";
        let cases = parse("a.txt", text).expect("well formed");
        let [case] = cases[..] else { panic!("{} cases", cases.len()) };
        assert_eq!((case.id, case.category, case.clauses), ("a.b", 'K', &[1, 30][..]));
        assert_eq!(case.needs, [Capability::Snapshot, Capability::Compact]);
        assert_eq!(case.rule, "A rule.");
    }

    #[test]
    fn a_mirrored_file_has_each_case_in_both_directions() {
        let text = "category E\nmirror forward F reverse\ncase range.forward.x\nclauses 8\nrule A rule.\n  scan all -> nothing\n";
        let cases = parse("a.txt", text).expect("well formed");
        let found: Vec<_> = cases.iter().map(|case| (case.id, case.category)).collect();
        assert_eq!(found, [("range.forward.x", 'E'), ("range.reverse.x", 'F')]);
        assert_eq!(cases[1].needs, [Capability::ReverseCursor]);
        assert!(cases[0].needs.is_empty());
    }

    /// Checks that a case with the step `step` is refused, with `part` in the message.
    fn expect_refused(step: &str, part: &str) {
        let text = format!("category A\n\ncase a.b\nclauses 1\nrule A rule.\n    {step}\n");
        let error = parse("x.txt", text.leak()).expect_err(step).to_string();
        assert!(error.starts_with("x.txt:6: ") && error.contains(part), "{step}: {error}");
    }

    #[test]
    fn a_malformed_step_names_file_and_line() {
        for (step, part) in [
            ("gett a -> b", "unknown step `gett`"),
            ("get a", "expected `->`"),
            ("get a -> b c", "expected the end of the line, found `c`"),
            ("put", "expected bytes"),
            ("put a=", "expected bytes"),
            ("put a -> error NoKind", "unknown kind of error `NoKind`"),
            ("put a -> InvalidKey", "expected `error `"),
            ("scan [a, b] -> nothing", "expected `)`"),
            ("s.get a -> b", "there is no snapshot or cursor `s`"),
            ("drop s", "there is no snapshot or cursor `s`"),
            ("snapshot s", "needs snapshot"),
            ("delete-range all", "needs delete_range"),
            ("rscan all -> nothing", "needs reverse_cursor"),
            ("reopen", "needs synced_writes"),
            ("batch {", "has no `}`"),
        ] {
            expect_refused(step, part);
        }
    }

    #[test]
    fn a_malformed_head_names_file_and_line() {
        for (text, expected) in [
            ("case a\n", "x.txt:1: no `category` before the first case"),
            ("category B\ncase a\nclauses 31\n", "x.txt:3: clauses are 1 to 30"),
            ("category B\ncase a\nneeds wings\n", "x.txt:3: unknown capability `wings`"),
            ("category B\ncase a\nclauses 1\n  close\n", "x.txt:4: case a has no `rule`"),
            ("category b\n", "x.txt:1: a category is a capital letter, not `b`"),
            ("  get a -> b\n", "x.txt:1: a step before the first case"),
            ("category B\ncase a\ncluase 1\n", "x.txt:3: unknown head line `cluase`; known: "),
        ] {
            let error = parse("x.txt", text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
