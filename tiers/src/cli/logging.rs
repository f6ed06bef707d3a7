//! Log lines on stderr.

use super::arguments::{Global, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging; without `-v` only warnings and errors are logged.
pub(crate) fn start(global: &Global) {
    let level = match global.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(level > LevelFilter::INFO);
    match global.log_format {
        LogFormat::Text => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(std::io::stderr().is_terminal() && !no_color).init();
        }
        LogFormat::Json => lines.json().init(),
    }
}
