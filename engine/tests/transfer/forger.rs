//! A writer of snapshot files for forgers: any content, under hashes that are all right.
//!
//! It is written from docs/snapshot-format.md alone.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use supervm_engine::digest::StateAccumulator;

const CHUNK_RAW_BYTES: usize = 1 << 20;
pub(crate) const STATE: u32 = 1;
pub(crate) const OLD_VALUE: u32 = 3;
pub(crate) const BLOCK: u32 = 5;
pub(crate) const CONTRACT: u32 = 6;

type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}

/// Kind, key and value.
pub(crate) type Entry = (u32, Vec<u8>, Vec<u8>);

/// What a file says, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    pub(crate) format: u32,
    pub(crate) header: Value,
    /// Kind, key, value; in order.
    pub(crate) entries: Vec<Entry>,
    /// Raw bytes at which a chunk is closed.
    pub(crate) chunk_bytes: usize,
    /// Entries of the trailer that replace what is computed, as `/counts/state` and a value.
    pub(crate) trailer: Vec<(String, Value)>,
    /// Of changes: the full digest in the trailer.
    pub(crate) full_digest: Value,
}

impl Forged {
    /// Takes a file apart.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut at = 16 + word(12) as usize;
        let header = serde_json::from_slice(&bytes[16..at]).unwrap();
        at += 32;
        let mut entries = Vec::new();
        while &bytes[at..at + 4] == b"SVCH" {
            let end = at + 64 + word(at + 24) as usize;
            let raw = zstd::bulk::decompress(&bytes[at + 64..end], word(at + 20) as usize).unwrap();
            let mut rest = &raw[..];
            while !rest.is_empty() {
                let key_bytes = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
                let value_bytes = u32::from_le_bytes(rest[2..6].try_into().unwrap()) as usize;
                let (key, value) = rest[6..6 + key_bytes + value_bytes].split_at(key_bytes);
                entries.push((word(at + 4), key.to_vec(), value.to_vec()));
                rest = &rest[6 + key_bytes + value_bytes..];
            }
            at = end;
        }
        let end = at + 8 + word(at + 4) as usize;
        let trailer: Value = serde_json::from_slice(&bytes[at + 8..end]).unwrap();
        let full_digest = trailer["full_digest"].clone();
        let (format, chunk_bytes, trailer) = (word(8), CHUNK_RAW_BYTES, Vec::new());
        Self { format, header, entries, chunk_bytes, trailer, full_digest }
    }

    /// Where the trailer of a file begins.
    fn trailer_at(bytes: &[u8]) -> usize {
        let is_trailer = |at: &usize| &bytes[*at..*at + 4] == b"SVTR";
        (0..bytes.len() - 4).rev().find(is_trailer).unwrap()
    }

    /// What the trailer of a file says.
    pub(crate) fn trailer_of(bytes: &[u8]) -> Value {
        let at = Self::trailer_at(bytes) + 8;
        serde_json::from_slice(&bytes[at..bytes.len() - 32]).unwrap()
    }

    /// The bytes of the header and of the trailer.
    pub(crate) fn ends_of(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let json = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        (bytes[..48 + json].to_vec(), bytes[Self::trailer_at(bytes)..].to_vec())
    }

    /// Sets an entry of the header, as `/block/number`.
    pub(crate) fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self.header.pointer_mut(pointer).unwrap() = value.into();
        self
    }

    /// The entries without those of `kind`.
    pub(crate) fn without(mut self, kind: u32) -> Self {
        self.entries.retain(|(of, ..)| *of != kind);
        self
    }

    /// Another value of a key of chain state, under the state digest that goes with it.
    pub(crate) fn with_forged_state(mut self) -> Self {
        let entry = self.entries.iter_mut().find(|(kind, ..)| *kind == STATE).unwrap();
        entry.2.extend(b" and a million more");
        let digest = self.state_digest();
        self.set("/state_digest", digest)
    }

    /// The digest of the entries of chain state, as a header has it.
    pub(crate) fn state_digest(&self) -> String {
        let mut accumulator = StateAccumulator::default();
        for (_, key, value) in self.entries.iter().filter(|(kind, ..)| *kind == STATE) {
            accumulator.add(key, &value[8..]);
        }
        hex::encode(accumulator.digest())
    }

    /// Chunks as kind, number of entries and raw bytes.
    fn chunks(&self) -> Vec<(u32, u32, Vec<u8>)> {
        let mut chunks: Vec<(u32, u32, Vec<u8>)> = Vec::new();
        for (kind, key, value) in &self.entries {
            let goes_on = chunks
                .last()
                .is_some_and(|(of, _, raw)| of == kind && raw.len() < self.chunk_bytes);
            if !goes_on {
                chunks.push((*kind, 0, Vec::new()));
            }
            let (_, entries, raw) = chunks.last_mut().unwrap();
            *entries += 1;
            raw.extend((key.len() as u16).to_le_bytes());
            raw.extend((value.len() as u32).to_le_bytes());
            raw.extend(key);
            raw.extend(value);
        }
        chunks
    }

    fn full_digest(&self) -> Value {
        if self.header["content"] == "changes" {
            return self.full_digest.clone();
        }
        let mut digest = Sha256::new();
        for (_, key, value) in self.entries.iter().filter(|(kind, ..)| *kind == STATE) {
            digest.update((key.len() as u32).to_le_bytes());
            digest.update(key);
            let value = value.get(8..).unwrap_or_default();
            digest.update((value.len() as u32).to_le_bytes());
            digest.update(value);
        }
        hex::encode(digest.finalize()).into()
    }

    /// The snapshot digest of what the file says.
    pub(crate) fn snapshot_digest(&self) -> String {
        let chunks = self.chunks();
        let mut content = Sha256::new();
        for (kind, entries, raw) in &chunks {
            content.update(sha256(&[&kind.to_le_bytes(), &entries.to_le_bytes(), raw]));
        }
        let header = &self.header;
        let mut facts = b"SuperVM snapshot".to_vec();
        facts.extend(self.format.to_le_bytes());
        facts.extend(if header["content"] == "state" { 1_u32 } else { 2 }.to_le_bytes());
        facts.extend(number(&header["chain_id"]));
        facts.extend(number(&header["version"]));
        facts.extend(optional(&header["block"], |block| {
            [
                number(&block["number"]),
                number(&block["version"]),
                number(&block["timestamp"]),
                optional(&block["digest"], hash),
            ]
            .concat()
        }));
        facts.extend(optional(&header["state_digest"], hash));
        facts.extend(optional(&header["history"], |history| {
            let modes = ["none", "window", "archive"];
            let mode = modes.iter().position(|mode| history["mode"] == *mode).unwrap_or(9) as u64;
            let blocks = history["blocks"].as_u64().unwrap_or_default();
            [mode.to_le_bytes(), blocks.to_le_bytes()].concat()
        }));
        facts.extend(optional(&header["parent"], |parent| {
            [
                number(&parent["version"]),
                optional(&parent["last_block"], number),
                optional(&parent["state_digest"], hash),
                optional(&parent["full_digest"], hash),
                optional(&parent["file"], hash),
            ]
            .concat()
        }));
        facts.extend(hash(&self.full_digest()));
        facts.extend((chunks.len() as u64).to_le_bytes());
        hex::encode(sha256(&[&facts, &content.finalize()]))
    }

    /// The file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"SVMSNAPS".to_vec();
        bytes.extend(self.format.to_le_bytes());
        let json = serde_json::to_vec(&self.header).unwrap();
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        let mut chain = sha256(&[&bytes]);
        bytes.extend(chain);
        let mut counts = json!({
            "chunks": 0, "raw_bytes": 0, "state": 0, "deleted": 0, "history": 0, "change_log": 0,
            "blocks": 0, "code": 0, "code_index": 0,
        });
        let mut count = |name: &str, more: u64| {
            counts[name] = (counts[name].as_u64().unwrap() + more).into();
        };
        let names = ["state", "deleted", "history", "change_log", "blocks", "code", "code_index"];
        for (position, (kind, entries, raw)) in self.chunks().iter().enumerate() {
            let packed = zstd::bulk::compress(raw, 1).unwrap();
            let mut header = b"SVCH".to_vec();
            header.extend(kind.to_le_bytes());
            header.extend((position as u64).to_le_bytes());
            for word in [*entries, raw.len() as u32, packed.len() as u32, 0] {
                header.extend(word.to_le_bytes());
            }
            let hash = sha256(&[&header, &packed]);
            chain = sha256(&[&chain, &hash]);
            bytes.extend([&header[..], &hash, &packed].concat());
            count("chunks", 1);
            count("raw_bytes", raw.len() as u64);
            count(names[*kind as usize - 1], u64::from(*entries));
        }
        let mut trailer = json!({
            "counts": counts, "full_digest": self.full_digest(), "chain": hex::encode(chain),
            "snapshot_digest": self.snapshot_digest(),
        });
        for (pointer, value) in &self.trailer {
            *trailer.pointer_mut(pointer).unwrap() = value.clone();
        }
        let json = serde_json::to_vec(&trailer).unwrap();
        let mut sealed = b"SVTR".to_vec();
        sealed.extend((json.len() as u32).to_le_bytes());
        sealed.extend(json);
        let id = sha256(&[&sealed]);
        [bytes, sealed, id.to_vec()].concat()
    }
}

/// What is no number is 0: such a header is refused before.
fn number(value: &Value) -> Vec<u8> {
    value.as_u64().unwrap_or_default().to_le_bytes().to_vec()
}

fn hash(value: &Value) -> Vec<u8> {
    value.as_str().and_then(|text| hex::decode(text).ok()).unwrap_or_default()
}

/// A byte that says whether there is something, and then that.
fn optional(value: &Value, encode: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    if value.is_null() { vec![0] } else { [vec![1], encode(value)].concat() }
}
