//! The image: the whole content in one file.
//!
//! ```text
//! image   "SVMEMORY" | version u32 LE | entries u64 LE | entry* | SHA-256 of all before
//! entry   key length u32 LE | value length u32 LE | key | value        in ascending order of the keys
//! ```
//!
//! It is written beside its place, synced and renamed, so that there is always a whole one: the last. A killed process loses
//! what was written after it, all of it and nothing else.

use crate::error;
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

pub(crate) const IMAGE_FILE: &str = "memory.image";
const PARTIAL_FILE: &str = "memory.image.partial";
const MAGIC: &[u8; 8] = b"SVMEMORY";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 32;

/// Puts the image of `tree` into `dir`: whole, on disk, or not at all.
pub(crate) fn write(dir: &Path, tree: &Tree) -> Result<()> {
    let (path, partial) = (dir.join(IMAGE_FILE), dir.join(PARTIAL_FILE));
    let written = write_entries(&partial, tree)
        // IMPORTANT: the content is on disk before the name is, and the name before the call returns.
        .and_then(|()| fs::rename(&partial, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    written.map_err(|failed| {
        // The write's own error is the one to report; a leftover is overwritten by the next image.
        let _ = fs::remove_file(&partial);
        error::io("write image", &path, failed)
    })
}

fn write_entries(path: &Path, tree: &Tree) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut checksum = Sha256::new();
    let mut put = |bytes: &[u8]| {
        checksum.update(bytes);
        file.write_all(bytes)
    };
    put(MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&(tree.len() as u64).to_le_bytes())?;
    for (key, value) in tree.ascending(KeyRange::ALL) {
        put(&(key.len() as u32).to_le_bytes())?;
        put(&(value.len() as u32).to_le_bytes())?;
        put(key)?;
        put(value)?;
    }
    file.write_all(&checksum.finalize())?;
    file.into_inner()?.sync_all()
}

/// The tree that `image`, the content of the file at `path`, holds.
///
/// # Errors
/// `Corruption` for a damaged or cut image, `FormatMismatch` for a file of another kind or version.
pub(crate) fn parse(path: &Path, image: &[u8]) -> Result<Tree> {
    if !image.starts_with(MAGIC) {
        let cut = MAGIC.starts_with(image);
        return Err(if cut {
            error::damaged(path, format!("the image is cut after {} bytes", image.len()))
        } else {
            error::foreign(path, "the file does not begin with SVMEMORY: it is no image")
        });
    }
    if let Some(version) = image[MAGIC.len()..].first_chunk().map(|v| u32::from_le_bytes(*v))
        && version != VERSION
    {
        let refused =
            format!("the image has format version {version}, this backend reads {VERSION}");
        return Err(error::foreign(path, refused));
    }
    let content = image.len().checked_sub(CHECKSUM_BYTES).filter(|&end| end >= HEADER_BYTES);
    let Some((content, checksum)) = content.map(|end| image.split_at(end)) else {
        return Err(error::damaged(path, format!("the image is cut after {} bytes", image.len())));
    };
    if Sha256::digest(content).as_slice() != checksum {
        let length = image.len();
        let problem =
            format!("the image is damaged or cut: its {length} bytes do not match the checksum");
        return Err(error::damaged(path, problem));
    }
    parse_entries(content).map_err(|problem| error::damaged(path, problem))
}

/// The entries of an image whose checksum is right; what is wrong nevertheless was written wrong.
fn parse_entries(content: &[u8]) -> std::result::Result<Tree, String> {
    let (header, mut rest) = content.split_at(HEADER_BYTES);
    let expected = header.last_chunk::<8>().map_or(0, |count| u64::from_le_bytes(*count));
    let mut tree = Tree::default();
    let mut last: &[u8] = &[];
    while !rest.is_empty() {
        let at = content.len() - rest.len();
        let (key, value, after) =
            split_entry(rest).ok_or_else(|| format!("no whole entry at byte {at}"))?;
        if key <= last || key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(format!("the entry at byte {at} is out of order or out of bounds"));
        }
        tree.insert(key, value);
        (last, rest) = (key, after);
    }
    let found = tree.len() as u64;
    if found != expected { Err(format!("{found} entries, {expected} expected")) } else { Ok(tree) }
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, rest) = bytes.split_first_chunk::<4>()?;
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    Some((key, value, rest))
}
