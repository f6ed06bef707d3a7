//! `supervm plugin inspect`: the loader's steps, and what the plugin says of itself.

use super::pack::{self, FunctionRow};
use super::{check_usable, inspection};
use crate::cli::failure::{Failure, Report};
use crate::cli::output::{ERROR, FAINT, GOOD, HEAD, Output, paint};
use serde_json::{Value, json};
use std::path::Path;
use supervm_engine::registry::PluginManifest;
use supervm_plugin_sdk::load::{Inspection, Outcome, Step};
use supervm_plugin_sdk::{Capabilities, PluginDescriptor, PluginKind, Support};

/// Prints the steps and, of a usable plugin, its descriptor and the lines of configuration that pin it.
pub(super) fn inspect(
    path: &Path,
    write_manifest: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let inspection = inspection(path)?;
    let manifest = match (&inspection.descriptor, write_manifest) {
        (Some(descriptor), true) => Some(write(path, descriptor, &inspection)?),
        _ => None,
    };
    let functions = match &inspection.descriptor {
        Some(descriptor) if descriptor.kind == PluginKind::HostPack => pack::functions(path)?,
        _ => Vec::new(),
    };
    let pin = inspection.descriptor.as_ref().and_then(|it| pin(it.kind, &inspection));
    if output.is_json() {
        output.object(&json!({
            "inspection": inspection,
            "sha256": found(&inspection, Step::Pin),
            "functions": functions,
            "configuration": pin,
            "manifest": manifest,
        }))?;
    } else {
        print_steps(&inspection, output)?;
        if let Some(descriptor) = &inspection.descriptor {
            print_descriptor(descriptor, output)?;
            print_functions(&functions, output)?;
        }
        if let Some(pin) = pin {
            output.line(paint(HEAD, "\nto use exactly this file:"))?;
            output.line(pin.trim_end())?;
        }
        if let Some(manifest) = &manifest {
            output.line(format_args!("\nmanifest written: {manifest}"))?;
        }
    }
    check_usable(&inspection, output)
}

/// What `step` found; `None` when it failed or was not reached.
pub(super) fn found(inspection: &Inspection, step: Step) -> Option<&str> {
    match inspection.outcome(step) {
        Outcome::Ok { found } => Some(found),
        Outcome::Failed { .. } | Outcome::NotReached => None,
    }
}

/// Prints each step and what it came to.
pub(super) fn print_steps(inspection: &Inspection, output: &mut Output) -> Result<(), Failure> {
    for report in &inspection.steps {
        let (state, text) = match &report.outcome {
            Outcome::Ok { found } => (paint(GOOD, "ok    "), found.as_str()),
            Outcome::Failed { message, .. } => (paint(ERROR, "failed"), message.as_str()),
            Outcome::NotReached => (paint(FAINT, "-     "), "not reached"),
        };
        let line = format!("{state}  {:<15} {text}", report.step);
        output.line(line.trim_end())?;
    }
    Ok(())
}

/// Writes the manifest beside the library; its path.
fn write(
    path: &Path,
    descriptor: &PluginDescriptor,
    inspection: &Inspection,
) -> Result<String, Failure> {
    let Some(sha256) = found(inspection, Step::Pin) else {
        return Err(Failure::failed(Report::new("the library was not hashed")));
    };
    PluginManifest::new(descriptor, sha256).write_beside(path)?;
    Ok(PluginManifest::path_of(path).display().to_string())
}

/// The configuration that takes this file and no other.
fn pin(kind: PluginKind, inspection: &Inspection) -> Option<String> {
    let (path, sha256) = (found(inspection, Step::Find)?, found(inspection, Step::Pin)?);
    let (section, table) = match kind {
        PluginKind::Storage => {
            let entries = [("backend", path), ("sha256", sha256)];
            ("storage", entries.map(|(key, value)| (key.to_owned(), value.into())).into())
        }
        PluginKind::HostPack => {
            let pins = toml::Table::from_iter([(path.to_owned(), sha256.into())]);
            let packs = toml::Value::from(vec![path]);
            ("plugins", [("packs".to_owned(), packs), ("sha256".to_owned(), pins.into())].into())
        }
    };
    let table: Vec<(String, toml::Value)> = table;
    let table = toml::Value::from(toml::Table::from_iter(table));
    toml::to_string(&toml::Table::from_iter([(section.to_owned(), table)])).ok()
}

fn print_descriptor(descriptor: &PluginDescriptor, output: &mut Output) -> Result<(), Failure> {
    output.line("")?;
    output.field("name", &descriptor.name)?;
    output.field("kind", descriptor.kind)?;
    output.field("version", &descriptor.version)?;
    output
        .field("sdk", format_args!("{}, ABI {}", descriptor.sdk_version, descriptor.abi_version))?;
    output.field("licence", or_none(&descriptor.license))?;
    output.field("about", or_none(&descriptor.description))?;
    if let Some(module) = &descriptor.module {
        output.field("module", module)?;
        let same = if descriptor.deterministic { "deterministic" } else { "not deterministic" };
        output.field("results", same)?;
    }
    if let Some(capabilities) = &descriptor.capabilities {
        print_capabilities(capabilities, output)?;
        print_options(descriptor, output)?;
    }
    Ok(())
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none given" } else { text }
}

fn print_capabilities(capabilities: &Capabilities, output: &mut Output) -> Result<(), Failure> {
    let named = capabilities.iter().map(|(capability, support)| match support {
        Support::Native => capability.name().to_owned(),
        Support::Simulated => format!("{} (simulated)", capability.name()),
    });
    output.field("can", or_none(&named.collect::<Vec<_>>().join(", ")))?;
    let limits = capabilities.limits();
    output.field(
        "limits",
        format_args!(
            "key {} B, value {} B, batch {} B and {} operations, {} cursors, {} snapshots",
            limits.key_bytes_max,
            limits.value_bytes_max,
            limits.batch_bytes_max,
            limits.batch_operations_max,
            limits.cursors_max,
            limits.snapshots_max
        ),
    )
}

/// Each option with its type, its default and the first line of its documentation, from the schema.
fn print_options(descriptor: &PluginDescriptor, output: &mut Output) -> Result<(), Failure> {
    let defaults: toml::Table = toml::from_str(&descriptor.config_defaults).unwrap_or_default();
    let properties = descriptor.config_schema["properties"].as_object();
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return output.field("options", "none");
    };
    for (name, schema) in properties {
        let default = defaults.get(name).map_or("none".to_owned(), ToString::to_string);
        let about = schema["description"].as_str().unwrap_or_default();
        // A paragraph of documentation may be wrapped; the first one says what the option is.
        let about = about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        output.field("option", format_args!("{name} = {default}  ({})  {about}", kind(schema)))?;
    }
    Ok(())
}

/// The type of an option, in a word or two.
fn kind(schema: &Value) -> String {
    let reference = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    match (&schema["type"], reference) {
        (Value::String(kind), _) => kind.clone(),
        (Value::Array(kinds), _) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.collect::<Vec<_>>().join(" or ")
        }
        (_, Some(name)) => name.to_owned(),
        _ => {
            let variants = schema["anyOf"].as_array().into_iter().flatten();
            let variants = variants.map(kind).filter(|kind| kind != "null");
            variants.collect::<Vec<_>>().join(" or ")
        }
    }
}

fn print_functions(functions: &[FunctionRow], output: &mut Output) -> Result<(), Failure> {
    for function in functions {
        output.field("function", function)?;
    }
    Ok(())
}
