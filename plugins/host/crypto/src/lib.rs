//! The host pack `crypto_api`: hashes, signatures and addresses for contracts.
//!
//! The functions that contracts import are in the pack's table; what they compute is public here too, for programs that link
//! the crate. Every function is deterministic and takes public data only: none of them handles a secret.
//!
//! # Examples
//! ```
//! use supervm_host_crypto::{checksum_address, eth_address, keccak256};
//!
//! let key = [
//!     0x02, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07,
//!     0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
//! ];
//! let address = eth_address(&key).expect("the generator is a public key");
//! assert_eq!(checksum_address(&address), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
//! assert_eq!(keccak256(b"")[..4], [0xc5, 0xd2, 0x46, 0x01]);
//! ```

mod address;
mod digest;
mod ed25519;
mod pack;
mod secp256k1;
pub mod status;

pub use address::{checksum_address, eth_address};
pub use digest::{DIGEST_BYTES, Digest, keccak256, sha256};
pub use ed25519::ed25519_verify;
pub use pack::CryptoPack;
pub use secp256k1::{
    RECOVERABLE_SIGNATURE_BYTES, SIGNATURE_BYTES, UNCOMPRESSED_KEY_BYTES, UncompressedKey,
    secp256k1_recover, secp256k1_verify,
};

supervm_plugin_sdk::export_plugin!(host_pack: CryptoPack, name: "crypto");
