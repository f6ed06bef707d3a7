//! The options of the backend.

use supervm_plugin_sdk::prelude::*;

/// SQLite's own limit, `SQLITE_MAX_MMAP_SIZE`.
const MMAP_BYTES_MAX: u64 = 0x7fff_0000;
const CACHE_BYTES: (u64, u64) = (64 << 10, 64 << 30);
const WAL_BYTES: (u64, u64) = (64 << 10, 16 << 30);
const QUOTA_BYTES_MIN: u64 = 1 << 20;
const PAGE_BYTES: (u64, u64) = (512, 64 << 10);
const READERS: (u32, u32) = (2, 4096);

/// The `[storage.options]` of `sqlite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// Page cache of the connection that writes. Default 64 MiB; 64 KiB to 64 GiB.
    pub cache_bytes: ByteSize,
    /// Page cache of each connection that reads. Default 2 MiB; 64 KiB to 64 GiB. The operating system's cache is behind it.
    pub reader_cache_bytes: ByteSize,
    /// How much of the database file each connection maps into memory instead of reading it into its cache. Default 1 GiB; 0
    /// (off) to 2147418112 bytes. Address space, not memory.
    pub mmap_bytes: ByteSize,
    /// Size of a page, fixed when the database is created. Default 8 KiB; a power of two from 512 bytes to 64 KiB. Another
    /// value than that of an existing database is refused. An entry of more than about a quarter of a page is continued on pages
    /// of its own.
    pub page_size: Option<ByteSize>,
    /// What a `Buffered` batch syncs; a `Synced` one always syncs the log. Default `normal`.
    pub synchronous: Synchronous,
    /// Length of the write-ahead log at which a write moves it into the database. Default 16 MiB; 64 KiB to 16 GiB.
    pub wal_bytes: ByteSize,
    /// Most bytes of the database file; a write that needs more is refused with `QuotaFull`. Absent (the default) = no quota. At
    /// least 1 MiB. The write-ahead log comes on top.
    pub quota_bytes: Option<ByteSize>,
    /// Most connections that cursors and snapshots hold at once, half of them for each. Default 2048; 2 to 4096. A connection is
    /// opened when it is needed, and takes two file descriptors.
    pub readers_max: u32,
}

/// What a `Buffered` batch syncs before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// Nothing: the log is synced when it is moved into the database. A power cut takes the newest batches.
    #[default]
    Normal,
    /// The log, as a `Synced` batch does. A power cut takes nothing.
    Full,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            cache_bytes: ByteSize(64 << 20),
            reader_cache_bytes: ByteSize(2 << 20),
            mmap_bytes: ByteSize(1 << 30),
            page_size: None,
            synchronous: Synchronous::Normal,
            wal_bytes: ByteSize(16 << 20),
            quota_bytes: None,
            readers_max: 2048,
        }
    }
}

impl SqliteConfig {
    pub(crate) fn check(&self) -> Result<()> {
        check_bytes("cache_bytes", self.cache_bytes, CACHE_BYTES)?;
        check_bytes("reader_cache_bytes", self.reader_cache_bytes, CACHE_BYTES)?;
        check_bytes("mmap_bytes", self.mmap_bytes, (0, MMAP_BYTES_MAX))?;
        check_bytes("wal_bytes", self.wal_bytes, WAL_BYTES)?;
        if let Some(quota) = self.quota_bytes {
            check_bytes("quota_bytes", quota, (QUOTA_BYTES_MIN, u64::MAX))?;
        }
        if let Some(page) = self.page_size
            && !(page.0.is_power_of_two() && (PAGE_BYTES.0..=PAGE_BYTES.1).contains(&page.0))
        {
            let accepted = "a power of two from 512B to 64KiB";
            return Err(refused("page_size", &page.to_string(), accepted));
        }
        if !(READERS.0..=READERS.1).contains(&self.readers_max) {
            let accepted = format!("{} to {}", READERS.0, READERS.1);
            return Err(refused("readers_max", &self.readers_max.to_string(), &accepted));
        }
        Ok(())
    }
}

fn check_bytes(option: &'static str, size: ByteSize, (least, most): (u64, u64)) -> Result<()> {
    if (least..=most).contains(&size.0) {
        return Ok(());
    }
    let accepted = match most {
        u64::MAX => format!("at least {}", ByteSize(least)),
        most => format!("{} to {}", ByteSize(least), ByteSize(most)),
    };
    Err(refused(option, &size.to_string(), &accepted))
}

fn refused(option: &'static str, value: &str, accepted: &str) -> Error {
    let message = format!("{option} is {value}, accepted: {accepted}");
    Error::new(ErrorKind::ConfigInvalid, "check options", message).with("option", option)
}
