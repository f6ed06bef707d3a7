//! The pack `crypto_api` through the plugin boundary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../testing/mod.rs"]
mod testing;

mod address;
mod boundary;
mod digests;
mod ed25519;
mod secp256k1;
mod wycheproof;

use testing::{Environment, Pack};

/// The pack with one call's memory.
struct Crypto {
    pack: Pack,
    environment: Environment,
}

impl Crypto {
    fn new() -> Self {
        Self { pack: Pack::linked("crypto"), environment: Environment::with_memory(Vec::new()) }
    }

    /// Calls `function` with `regions` laid out one after the other, followed by room for `room` bytes that begin as 0xee.
    ///
    /// `arguments` turns the regions' addresses, the room's last, into arguments.
    fn call(
        &mut self,
        function: &str,
        regions: &[&[u8]],
        room: usize,
        arguments: impl Fn(&[u64]) -> Vec<u64>,
    ) -> (i32, Vec<u8>) {
        let memory = &mut self.environment.memory;
        memory.clear();
        let mut addresses = Vec::new();
        for region in regions {
            addresses.push(memory.len() as u64);
            memory.extend_from_slice(region);
        }
        let end = memory.len();
        addresses.push(end as u64);
        memory.resize(end + room, 0xee);
        let result = self.pack.status(&mut self.environment, function, &arguments(&addresses));
        (result, self.environment.memory[end..].to_vec())
    }

    fn hash(&mut self, function: &str, message: &[u8]) -> [u8; 32] {
        let len = message.len() as u64;
        let (status, out) = self.call(function, &[message], 32, |at| vec![at[0], len, at[1]]);
        assert_eq!(status, 0);
        out.try_into().unwrap()
    }

    fn secp256k1_verify(&mut self, digest: &[u8; 32], signature: &[u8; 64], key: &[u8]) -> bool {
        let len = key.len() as u64;
        let regions: [&[u8]; 3] = [digest, signature, key];
        let (answer, _) =
            self.call("secp256k1_verify", &regions, 0, |at| vec![at[0], at[1], at[2], len]);
        assert!(answer == 0 || answer == 1, "a verification is answered {answer}");
        answer == 1
    }

    /// Status and output.
    fn secp256k1_recover(&mut self, digest: &[u8; 32], signature: &[u8; 65]) -> (i32, Vec<u8>) {
        self.call("secp256k1_recover", &[digest, signature], 65, |at| vec![at[0], at[1], at[2]])
    }

    fn ed25519_verify(&mut self, message: &[u8], signature: &[u8; 64], key: &[u8; 32]) -> bool {
        let len = message.len() as u64;
        let regions: [&[u8]; 3] = [message, signature, key];
        let (answer, _) =
            self.call("ed25519_verify", &regions, 0, |at| vec![at[0], len, at[1], at[2]]);
        assert!(answer == 0 || answer == 1, "a verification is answered {answer}");
        answer == 1
    }

    /// Status and output.
    fn eth_address(&mut self, key: &[u8]) -> (i32, Vec<u8>) {
        let len = key.len() as u64;
        self.call("eth_address", &[key], 20, |at| vec![at[0], len, at[1]])
    }
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}
