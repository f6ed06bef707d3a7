//! A value in sixteen bytes.

use triomphe::ThinArc;

/// Longest value that lies in place, in bytes.
const INLINE_BYTES_MAX: usize = 14;

/// What a version of a key holds. Cheap to clone: a short value is copied, a long one is shared.
#[derive(Clone)]
pub(crate) struct Value(Repr);

#[derive(Clone)]
enum Repr {
    /// The backend has not been asked yet.
    Unloaded,
    /// The key does not exist: it was deleted, or never written.
    Absent,
    Inline(u8, [u8; INLINE_BYTES_MAX]),
    Shared(ThinArc<(), u8>),
}

const _: () = assert!(size_of::<Value>() == 16);

impl Value {
    pub(crate) const UNLOADED: Self = Self(Repr::Unloaded);
    pub(crate) const ABSENT: Self = Self(Repr::Absent);

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE_BYTES_MAX];
        match inline.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self(Repr::Inline(bytes.len() as u8, inline))
            }
            None => Self(Repr::Shared(ThinArc::from_header_and_slice((), bytes))),
        }
    }

    /// The bytes; `None` when the key does not exist.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Unloaded | Repr::Absent => None,
            Repr::Inline(length, bytes) => Some(&bytes[..usize::from(*length)]),
            Repr::Shared(bytes) => Some(&bytes.slice),
        }
    }

    /// Bytes of the value; 0 when the key does not exist.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes().map_or(0, <[u8]>::len)
    }

    pub(crate) fn is_loaded(&self) -> bool {
        !matches!(self.0, Repr::Unloaded)
    }

    /// Bytes that the value takes besides its own place.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Shared(bytes) => bytes.slice.len() + 2 * size_of::<usize>(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_whatever_its_length() {
        for length in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 1000] {
            let bytes = vec![7; length];
            let value = Value::new(&bytes);
            assert_eq!(value.clone().bytes(), Some(&*bytes), "{length}");
            assert_eq!(value.heap_bytes() > 0, length > INLINE_BYTES_MAX);
        }
        assert_eq!(Value::ABSENT.bytes(), None);
        assert!(Value::ABSENT.is_loaded() && !Value::UNLOADED.is_loaded());
    }
}
