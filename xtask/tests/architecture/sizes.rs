//! A file and a function that one can hold in one's head.

use crate::sources;
use std::path::PathBuf;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, TraitItemFn};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// How long a whole backend is, as docs/plugin-guide.md says.
const EXAMPLE_LINES_MAX: usize = 150;

/// What may be larger, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn no_file_has_more_than_500_lines_outside_its_tests() {
    let mut large = Vec::new();
    for source in sources::all().iter().filter(|source| !source.is_test()) {
        let lines = source.text.lines().count() - measure(source).test_lines;
        if lines > FILE_LINES_MAX && !is_excepted(&source.path) {
            large.push(format!("{}: {lines}", source.path));
        }
    }
    assert!(large.is_empty(), "split these: {large:#?}");
}

#[test]
fn no_function_has_more_than_70_lines_outside_tests() {
    let mut large = Vec::new();
    for source in sources::all().iter().filter(|source| !source.is_test()) {
        let functions = measure(source).functions;
        let long = functions.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        large.extend(long.map(|(name, lines)| format!("{}::{name}: {lines}", source.path)));
    }
    large.retain(|name| !is_excepted(name));
    assert!(large.is_empty(), "split these: {large:#?}");
}

#[test]
fn the_example_of_a_backend_has_at_most_150_lines_apart_from_blank_ones() {
    let path = sources::repository().join("examples/third-party-plugin/src");
    let files: Vec<_> = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).collect();
    let text = |file: &PathBuf| std::fs::read_to_string(file).unwrap();
    let lines = files.iter().map(text).collect::<String>();
    let lines = lines.lines().filter(|line| !line.trim().is_empty()).count();
    assert!((1..=EXAMPLE_LINES_MAX).contains(&lines), "{files:?}: {lines}");
}

#[test]
fn every_exception_is_still_needed_and_says_why() {
    let sources = sources::all();
    for (place, reason) in EXCEPTIONS {
        let path = place.split("::").next().unwrap();
        assert!(sources.iter().any(|source| source.path == path), "{place} is gone");
        assert!(reason.len() > 20, "{place} needs a reason");
    }
}

fn is_excepted(place: &str) -> bool {
    EXCEPTIONS.iter().any(|(excepted, _)| place.starts_with(excepted))
}

#[derive(Default)]
struct Measured {
    test_lines: usize,
    functions: Vec<(String, usize)>,
}

fn measure(source: &sources::Source) -> Measured {
    let file = syn::parse_file(&source.text)
        .unwrap_or_else(|error| panic!("{} does not parse: {error}", source.path));
    let mut measured = Measured::default();
    measured.visit_file(&file);
    measured
}

impl Measured {
    fn add(&mut self, name: &syn::Ident, body: &impl Spanned) {
        self.functions.push((name.to_string(), lines(body)));
    }
}

impl Visit<'_> for Measured {
    fn visit_item_mod(&mut self, module: &ItemMod) {
        if module.attrs.iter().any(is_test_attribute) {
            self.test_lines += lines(module);
        } else {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &ItemFn) {
        self.add(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        self.add(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig.ident, body);
        }
    }
}

fn is_test_attribute(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

fn lines(node: &impl Spanned) -> usize {
    let span = node.span();
    span.end().line - span.start().line + 1
}
