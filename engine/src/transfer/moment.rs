//! The state that is exported: what it is, and its entries.

use super::export::ExportAt;
use super::format::{BlockHeader, Content, Header};
use crate::digest::StateAccumulator;
use crate::history::{AsOf, AsOfRows, History};
use crate::storage::Storage;
use std::fmt;
use supervm_plugin_sdk::{Direction, KeyRange, Result};

/// What a block's record has for a digest when none is kept.
const NO_DIGEST: [u8; 32] = [0; 32];

/// A state as of a version, and the header of its file.
pub(super) struct Moment {
    storage: Storage,
    as_of: AsOf,
    header: Header,
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("header", &self.header).finish_non_exhaustive()
    }
}

impl Moment {
    /// The state of `storage` at `at`.
    ///
    /// # Errors
    /// `InvalidArgument` for a version or a block that is not there, `VersionPruned`; those of the storage.
    pub(super) fn new(storage: &Storage, at: ExportAt) -> Result<Self> {
        let history = History::new(storage.clone())?;
        let as_of = match at {
            ExportAt::Latest => history.latest()?,
            ExportAt::Version(version) => history.as_of(version)?,
            ExportAt::Block(number) => history.as_of_block(number)?,
        };
        let version = as_of.version();
        let meta = history.meta()?;
        let block = history.newest_block(|block| block.version <= version)?;
        let of_block = block
            .filter(|block| block.version == version && block.digest != NO_DIGEST)
            .map(|block| block.digest);
        let state_digest = match of_block {
            Some(digest) => Some(digest),
            // The accumulator is of the newest version only.
            None if meta.last_version == version => StateAccumulator::kept_digest(&meta)?,
            None => None,
        };
        let header = Header {
            content: Content::State,
            backend: storage.backend_name().to_owned(),
            chain_id: storage.manifest().chain_id,
            version,
            block: block.map(|block| BlockHeader::of(block, version, state_digest)),
            state_digest,
            history: None,
            parent: None,
            entries_about: storage.stats()?.keys,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(Self { storage: storage.clone(), as_of, header })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The same state under the header that an earlier run wrote.
    pub(super) fn with_header(self, header: Header) -> Self {
        Self { header, ..self }
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(super) fn state(&self, range: KeyRange<'_>) -> Result<AsOfRows> {
        self.as_of.rows(range, Direction::Forward)
    }
}
