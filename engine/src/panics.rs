//! Panics of what a caller hands over, kept from going further.

use std::any::Any;

/// What a caught panic said.
#[cold]
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "(no message)".to_owned(),
    };
    // A payload's own drop may panic; a leaked payload is the lesser evil.
    std::mem::forget(payload);
    message
}
