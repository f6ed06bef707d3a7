//! The buffer that crosses the boundary.

use abi_stable::StableAbi;
use abi_stable::std_types::RVec;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr;

/// A growable byte buffer that either side of the boundary may fill.
///
/// The side that made the buffer allocates and frees it: the buffer carries its maker's functions for that, so
/// two allocators can never be confused. Clearing keeps the memory; a reused buffer costs no allocation.
#[repr(transparent)]
#[derive(StableAbi, Clone, Default, PartialEq, Eq)]
pub struct ByteBuf(RVec<u8>);

impl ByteBuf {
    /// An empty buffer; allocates nothing.
    pub const fn new() -> Self {
        Self(RVec::new())
    }

    /// An empty buffer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(RVec::with_capacity(bytes))
    }

    /// Empties the buffer and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends `bytes`.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_copy_slice(bytes);
    }

    /// Appends `parts`, one behind the other; makes room once.
    #[inline]
    pub(crate) fn extend_parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        self.0.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            let length = self.0.len();
            // SAFETY: there is room for all parts behind what is there, and none of them lies there: the buffer is borrowed alone.
            unsafe {
                let end = self.0.as_mut_ptr().add(length);
                ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
                self.0.set_len(length + part.len());
            }
        }
    }

    /// Replaces the content by `bytes`.
    #[inline]
    pub fn set(&mut self, bytes: &[u8]) {
        self.0.clear();
        self.0.extend_from_copy_slice(bytes);
    }

    /// Shortens to `length` bytes; no effect when it is shorter.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Makes it `length` bytes long, filling with zeros.
    pub fn resize(&mut self, length: usize) {
        self.0.resize(length, 0);
    }

    /// Bytes that fit without an allocation.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The content as an owned vector, without a copy where both sides share an allocator.
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

impl Deref for ByteBuf {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl DerefMut for ByteBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

impl AsRef<[u8]> for ByteBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for ByteBuf {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for ByteBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteBuf({} bytes)", self.len())
    }
}
