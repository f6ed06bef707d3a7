//! What is done to a storage.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An operation that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// One key after the other, each as often.
    Get,
    /// One key after the other, some much more often: Zipf's distribution with exponent 0.99.
    GetZipf,
    /// 100 keys with one call, each key as often.
    MultiGet,
    /// Up to 25,000 rows in the order of the keys, from anywhere.
    Scan,
    /// 1,000 new values for stored keys in one batch.
    Batch,
}

impl Operation {
    /// Every operation, in the order in which they are measured.
    pub const ALL: [Self; 5] = [Self::Get, Self::GetZipf, Self::MultiGet, Self::Scan, Self::Batch];

    /// Is its rate counted in bytes?
    pub fn is_in_bytes(self) -> bool {
        self == Self::Scan
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::GetZipf => "get, zipf",
            Self::MultiGet => "multi_get",
            Self::Scan => "scan",
            Self::Batch => "batch of 1000",
        })
    }
}
