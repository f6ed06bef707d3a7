//! What an author reads who misuses `export_plugin!`: each file in `messages/` with the compiler's answer beside it.
//!
//! The answers are those of the toolchain that the repository names; `TRYBUILD=overwrite cargo test --test messages` writes them
//! anew.

#[test]
fn misuse_of_the_macro_is_explained() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}
