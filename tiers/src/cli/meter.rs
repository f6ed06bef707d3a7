//! How far a long command has come: a bar on a terminal, plain lines in a pipe, nothing beside JSON.
//!
//! All of it goes to stderr, so that stdout has the result alone.

use super::output::Output;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use supervm_engine::transfer::{Phase, Progress};

/// In a pipe a line comes so often while a phase goes on, and one at its end.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What is shown of a command's phases.
pub(crate) struct Meter {
    form: Form,
    phase: Option<Running>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bar,
    Lines,
    Nothing,
}

struct Running {
    name: String,
    unit: &'static str,
    started: Instant,
    line_at: Instant,
    bar: Option<ProgressBar>,
    done: u64,
    total: Option<u64>,
    bytes: u64,
    /// As the transfer names it.
    of_transfer: Option<Phase>,
}

impl Meter {
    pub(crate) fn new(output: &Output) -> Self {
        let form = match (output.is_json(), std::io::stderr().is_terminal()) {
            (true, _) => Form::Nothing,
            (false, true) => Form::Bar,
            (false, false) => Form::Lines,
        };
        Self { form, phase: None }
    }

    /// Shows nothing.
    pub(crate) fn silent() -> Self {
        Self { form: Form::Nothing, phase: None }
    }

    /// Begins a phase with `total` things to do, where that is known.
    pub(crate) fn begin(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        total: Option<u64>,
    ) {
        self.end();
        let now = Instant::now();
        let name = name.into();
        let bar = (self.form == Form::Bar).then(|| bar(&name, total));
        self.phase = Some(Running {
            name,
            unit,
            started: now,
            line_at: now + LINE_INTERVAL,
            bar,
            done: 0,
            total,
            bytes: 0,
            of_transfer: None,
        });
    }

    /// So much there is to do in the phase, which was not known when it began.
    pub(crate) fn expect(&mut self, total: u64) {
        let Some(phase) = self.phase.as_mut().filter(|phase| phase.total != Some(total)) else {
            return;
        };
        phase.total = Some(total);
        if let Some(old) = &phase.bar {
            old.finish_and_clear();
            phase.bar = Some(bar(&phase.name, phase.total));
        }
    }

    /// So much of the phase is done.
    pub(crate) fn set(&mut self, done: u64, bytes: u64) {
        let Some(phase) = &mut self.phase else { return };
        (phase.done, phase.bytes) = (done, bytes);
        if let Some(bar) = &phase.bar {
            bar.set_position(done);
        }
        if self.form == Form::Lines && phase.line_at <= Instant::now() {
            phase.line_at = Instant::now() + LINE_INTERVAL;
            say(&phase.line());
        }
    }

    /// Shows what a transfer tells of itself.
    pub(crate) fn transfer(&mut self, progress: &Progress) {
        let is_same = self.phase.as_ref().is_some_and(|phase| {
            phase.of_transfer == Some(progress.phase) && phase.done <= progress.entries
        });
        if !is_same {
            self.begin(progress.phase.to_string(), "entries", progress.entries_total);
            if let Some(phase) = &mut self.phase {
                phase.of_transfer = Some(progress.phase);
            }
        }
        self.set(progress.entries, progress.bytes);
    }

    /// Ends the phase that goes on.
    pub(crate) fn end(&mut self) {
        let Some(phase) = self.phase.take() else { return };
        if let Some(bar) = &phase.bar {
            bar.finish_and_clear();
        }
        if self.form == Form::Lines {
            say(&phase.last_line());
        }
    }
}

impl Drop for Meter {
    /// A bar is not left behind by a failure; lines say only what was done.
    fn drop(&mut self) {
        if let Some(Running { bar: Some(bar), .. }) = &self.phase {
            bar.finish_and_clear();
        }
    }
}

impl Running {
    fn rate(&self) -> f64 {
        self.done as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// `copying: 120,000 of 1,000,000 entries, 45.00 MiB, 24,000/s, 37 s left`.
    fn line(&self) -> String {
        let mut line = format!("{}: {}", self.name, HumanCount(self.done));
        if let Some(total) = self.total {
            line.push_str(&format!(" of {}", HumanCount(total.max(self.done))));
        }
        line.push_str(&format!(" {}", self.unit));
        if self.bytes > 0 {
            line.push_str(&format!(", {}", HumanBytes(self.bytes)));
        }
        let rate = self.rate();
        line.push_str(&format!(", {}/s", HumanCount(rate as u64)));
        if let Some(left) = self.total.map(|total| total.saturating_sub(self.done))
            && rate > 0.0
        {
            line.push_str(&format!(", {:.0} s left", left as f64 / rate));
        }
        line
    }

    /// `copying: 1,000,000 entries, 380.00 MiB in 41.2 s, 24,271/s`.
    fn last_line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        if self.done == 0 {
            return format!("{}: done in {seconds:.1} s", self.name);
        }
        let mut line = format!("{}: {} {}", self.name, HumanCount(self.done), self.unit);
        if self.bytes > 0 {
            line.push_str(&format!(", {}", HumanBytes(self.bytes)));
        }
        let rate = HumanCount(self.rate() as u64);
        line.push_str(&format!(" in {seconds:.1} s, {rate}/s"));
        line
    }
}

fn bar(name: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg:<10} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{msg:<10} {spinner} {human_pos} {per_sec} {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_message(name.to_owned())
}

fn say(line: &str) {
    // Nobody is left to be told when stderr cannot be written.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(done: u64, total: Option<u64>) -> Running {
        let started = Instant::now() - Duration::from_secs(2);
        Running {
            name: "copying".to_owned(),
            unit: "entries",
            started,
            line_at: started,
            bar: None,
            done,
            total,
            bytes: 4 << 20,
            of_transfer: None,
        }
    }

    #[test]
    fn a_line_has_what_is_done_the_rate_and_the_time_left() {
        let line = running(2_000, Some(6_000)).line();
        assert!(line.starts_with("copying: 2,000 of 6,000 entries, 4.00 MiB, "), "{line}");
        assert!(line.ends_with("/s, 4 s left"), "{line}");
        let open = running(2_000, None).line();
        assert!(open.starts_with("copying: 2,000 entries, 4.00 MiB, "), "{open}");
        assert!(!open.contains("left"), "{open}");
    }

    #[test]
    fn an_estimate_that_was_too_small_grows_with_what_is_done() {
        assert!(running(7_000, Some(6_000)).line().contains("7,000 of 7,000 entries"));
    }

    #[test]
    fn the_last_line_has_the_time_it_took() {
        let line = running(2_000, Some(6_000)).last_line();
        assert!(line.starts_with("copying: 2,000 entries, 4.00 MiB in 2.0 s, "), "{line}");
    }
}
