//! [`Error`] and [`HostError`] as they cross the boundary.

use crate::host::HostError;
use crate::{Effect, Error, ErrorKind};
use abi_stable::StableAbi;
use abi_stable::std_types::{RBox, RResult, RString, RVec, Tuple2};

pub type AbiResult<T> = RResult<T, AbiError>;

/// An error, boxed so that a result stays small.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct AbiError(RBox<ErrorRecord>);

#[repr(C)]
#[derive(StableAbi)]
pub struct ErrorRecord {
    kind: u16,
    effect: u8,
    operation: RString,
    message: RString,
    context: RVec<Tuple2<RString, RString>>,
    /// The chain of causes, outermost first.
    causes: RVec<RString>,
}

impl From<Error> for AbiError {
    fn from(error: Error) -> Self {
        let mut causes = RVec::new();
        let mut cause = std::error::Error::source(&error);
        while let Some(one) = cause {
            causes.push(one.to_string().into());
            cause = one.source();
        }
        let pairs = error.context().map(|(name, value)| Tuple2(name.into(), value.into()));
        Self(RBox::new(ErrorRecord {
            kind: error.kind().code(),
            effect: error.effect() as u8,
            operation: error.operation().into(),
            message: error.message().into(),
            context: pairs.collect(),
            causes,
        }))
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        let record = RBox::into_inner(error.0);
        let kind = ErrorKind::from_code(record.kind);
        let error = Error::new(kind, record.operation.into_string(), record.message.into_string())
            .with_effect(Effect::from_code(record.effect));
        let error = record
            .context
            .into_iter()
            .fold(error, |error, Tuple2(name, value)| error.with(name.into_string(), value));
        match Cause::chain(record.causes) {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// One cause of an error from the other side, as text.
#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Cause>>,
}

impl Cause {
    fn chain(causes: RVec<RString>) -> Option<Self> {
        causes.into_iter().rev().fold(None, |next, text| {
            Some(Self { text: text.into_string(), next: next.map(Box::new) })
        })
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.next.as_deref().map(|next| next as _)
    }
}

pub type HostResult<T> = RResult<T, AbiHostError>;

#[repr(transparent)]
#[derive(StableAbi)]
pub struct AbiHostError(RBox<HostErrorRecord>);

#[repr(C)]
#[derive(StableAbi)]
pub enum HostErrorRecord {
    OutOfBounds { ptr: u32, len: u32 },
    OutOfGas,
    ReadOnlyCall,
    LimitExceeded { what: RString },
    Abort { code: i32, message: RString },
    Storage { error: AbiError },
    Internal { what: RString },
}

impl From<HostError> for AbiHostError {
    #[cold]
    fn from(error: HostError) -> Self {
        Self(RBox::new(match error {
            HostError::OutOfBounds { ptr, len } => HostErrorRecord::OutOfBounds { ptr, len },
            HostError::OutOfGas => HostErrorRecord::OutOfGas,
            HostError::ReadOnlyCall => HostErrorRecord::ReadOnlyCall,
            HostError::LimitExceeded(what) => HostErrorRecord::LimitExceeded { what: what.into() },
            HostError::Abort { code, message } => {
                HostErrorRecord::Abort { code, message: message.into() }
            }
            HostError::Storage(error) => HostErrorRecord::Storage { error: error.into() },
            HostError::Internal(what) => HostErrorRecord::Internal { what: what.into() },
        }))
    }
}

impl From<AbiHostError> for HostError {
    #[cold]
    fn from(error: AbiHostError) -> Self {
        match RBox::into_inner(error.0) {
            HostErrorRecord::OutOfBounds { ptr, len } => Self::OutOfBounds { ptr, len },
            HostErrorRecord::OutOfGas => Self::OutOfGas,
            HostErrorRecord::ReadOnlyCall => Self::ReadOnlyCall,
            HostErrorRecord::LimitExceeded { what } => Self::LimitExceeded(what.into_string()),
            HostErrorRecord::Abort { code, message } => {
                Self::Abort { code, message: message.into_string() }
            }
            HostErrorRecord::Storage { error } => Self::Storage(error.into()),
            HostErrorRecord::Internal { what } => Self::Internal(what.into_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_crosses_with_kind_context_causes_and_effect() {
        let cause = std::io::Error::from_raw_os_error(28);
        let error = Error::io("write", cause).with("sqlite_code", 13).with_effect(Effect::Unknown);
        let text = error.to_string();
        let crossed = Error::from(AbiError::from(error));
        assert_eq!(crossed.kind(), ErrorKind::NoSpace);
        assert_eq!(crossed.effect(), Effect::Unknown);
        assert_eq!(crossed.to_string(), text);
        let cause = std::error::Error::source(&crossed).expect("the cause crosses");
        assert!(cause.to_string().contains("os error 28"), "{cause}");
    }
}
