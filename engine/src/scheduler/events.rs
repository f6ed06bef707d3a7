//! The events that were emitted and not taken yet.

use crate::state::Event;
use parking_lot::Mutex;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Events that a scheduler keeps until they are taken.
pub const KEPT_EVENTS_MAX: usize = 1 << 20;
/// Bytes of data of all events that a scheduler keeps.
pub const KEPT_EVENT_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct EventLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    bytes: usize,
}

impl EventLog {
    /// Appends all events in their order, with none of another batch between them; or none of them.
    pub(super) fn append(&self, events: Vec<Event>) -> Result<()> {
        let bytes = events.iter().map(|event| event.data.len()).sum::<usize>();
        let mut kept = self.0.lock();
        let fits = kept.events.len() + events.len() <= KEPT_EVENTS_MAX
            && kept.bytes + bytes <= KEPT_EVENT_BYTES_MAX;
        if !fits {
            let refused = format!(
                "the events do not fit, at most {KEPT_EVENTS_MAX} of {KEPT_EVENT_BYTES_MAX} bytes are kept; take those that are there first"
            );
            return Err(Error::new(ErrorKind::Busy, "emit events", refused)
                .with("kept", kept.events.len())
                .with("events", events.len())
                .with("bytes", bytes));
        }
        kept.events.extend(events);
        kept.bytes += bytes;
        Ok(())
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock()).events
    }
}
