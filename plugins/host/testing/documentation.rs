//! The contract ABI's page against the table that the plugin exports.

use super::Pack;
use std::collections::BTreeMap;
use supervm_plugin_sdk::host::{StateAccess, ValueType};
use supervm_plugin_sdk::load::PackFunction;

const PAGE: &str = include_str!("../../../docs/contract-abi.md");

/// Checks the page's functions, statuses, prices by data and example imports of `module` against the pack, in both
/// directions.
///
/// `data_prices` is what was measured: function, and gas for each unit.
pub(crate) fn check_documentation(
    pack: &Pack,
    module: &str,
    statuses: &[(&str, i32)],
    data_prices: &[(&str, u64)],
) {
    check_functions(pack, module);
    check_statuses(module, statuses);
    check_data_prices(module, data_prices);
    check_example(pack, module);
}

fn check_data_prices(module: &str, measured: &[(&str, u64)]) {
    let rows = table("### Charged by data");
    let of_module = rows.iter().filter(|row| code(&row[0]) == module);
    let documented: BTreeMap<_, u64> =
        of_module.map(|row| (code(&row[1]), row[2].parse().expect("a number of gas"))).collect();
    let measured = measured.iter().map(|(name, gas)| ((*name).to_owned(), *gas)).collect();
    assert_eq!(documented, measured, "what {module} charges by data");
}

fn check_functions(pack: &Pack, module: &str) {
    let documented = table(&format!("## Module `{module}`"));
    let documented: Vec<Vec<String>> = documented
        .iter()
        .map(|row| row.iter().map(|cell| cell.replace("\\|", "|")).collect())
        .collect();
    let real: Vec<Vec<String>> = pack.functions.iter().map(row).collect();
    for (documented, real) in documented.iter().zip(&real) {
        assert_eq!(
            documented, real,
            "the page's row of {module} on the left, the table's on the right"
        );
    }
    let names = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&real), "the functions of {module}");
}

/// A row of the page as the table has it: function, parameters, result, gas, gas a byte, state, description.
fn row(function: &PackFunction) -> Vec<String> {
    let quoted = |text: String| if text.is_empty() { "-".into() } else { format!("`{text}`") };
    let params: Vec<_> =
        function.params.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    let lengths: Vec<_> =
        function.gas_lengths.iter().map(|at| format!("`{}`", function.params[*at].0)).collect();
    let per_byte = match function.gas_per_byte {
        0 => "-".into(),
        gas => format!("{gas} of {}", lengths.join(", ")),
    };
    let state = match function.state {
        StateAccess::None => "-",
        StateAccess::Read => "read",
        StateAccess::Write => "write",
    };
    vec![
        format!("`{}`", function.name()),
        quoted(params.join(", ")),
        quoted(function.result.map(|kind| kind.to_string()).unwrap_or_default()),
        function.gas_base.to_string(),
        per_byte,
        state.into(),
        function.doc().into(),
    ]
}

fn check_statuses(module: &str, statuses: &[(&str, i32)]) {
    let rows = table("## Statuses");
    let of_module = rows.iter().filter(|row| row[2].contains(module));
    let documented: BTreeMap<_, i32> =
        of_module.map(|row| (code(&row[1]), row[0].parse().expect("a number"))).collect();
    let real = statuses.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect();
    assert_eq!(documented, real, "the statuses of {module}");
}

/// The example contract imports nothing of `module` that the table has not, with the same types.
fn check_example(pack: &Pack, module: &str) {
    let prefix = format!("(import \"{module}\" \"");
    let imports: Vec<_> =
        PAGE.lines().filter_map(|line| line.trim().strip_prefix(&prefix)).collect();
    assert!(!imports.is_empty(), "the example imports from {module}");
    for import in imports {
        let (name, signature) = import.split_once('"').expect("the name ends");
        let function = pack.function(name);
        let types = |keyword: &str| -> Vec<String> {
            let start = signature.find(&format!("({keyword} ")).map(|at| at + keyword.len() + 2);
            let listed = start.and_then(|at| signature[at..].split(')').next()).unwrap_or("");
            listed.split_whitespace().map(str::to_owned).collect()
        };
        let name_of = |kind: &ValueType| kind.to_string();
        let params: Vec<_> = function.params.iter().map(|(_, kind)| name_of(kind)).collect();
        assert_eq!(types("param"), params, "parameters of {name}");
        assert_eq!(
            types("result"),
            function.result.iter().map(name_of).collect::<Vec<_>>(),
            "result of {name}"
        );
    }
}

/// The cells of the first table after `heading`, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let mut lines = PAGE.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "the page has the heading {heading:?}");
    let rows =
        lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|');
        line.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<_> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "the table under {heading:?} has rows");
    rows
}

fn code(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}
