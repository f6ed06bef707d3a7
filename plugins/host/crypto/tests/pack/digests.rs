//! Published messages and digests, and every length around the block boundaries.

use crate::{Crypto, bytes};

fn check(function: &str, cases: &[(Vec<u8>, &str)]) {
    let mut crypto = Crypto::new();
    for (message, digest) in cases {
        let found = hex::encode(crypto.hash(function, message));
        assert_eq!(found, *digest, "{function} of {} bytes", message.len());
    }
}

/// The digest of the digests of the messages 0, 1, 2, ... modulo 251 of each length from 0 to 300.
fn digest_of_all_lengths(function: &str) -> [u8; 32] {
    let mut crypto = Crypto::new();
    let message: Vec<u8> = (0..300).map(|index| (index % 251) as u8).collect();
    let digests: Vec<_> =
        (0..=300).flat_map(|length| crypto.hash(function, &message[..length])).collect();
    crypto.hash(function, &digests)
}

/// Sources: FIPS 180-4's examples and NIST's additional SHA-256 vectors.
#[test]
fn sha256_gives_nists_digests() {
    let long: &[u8] = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    check(
        "sha256",
        &[
            (vec![], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc".to_vec(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (long.to_vec(), "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"),
            (vec![0xbd], "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"),
            (
                vec![0xc9, 0x8c, 0x8e, 0x55],
                "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504",
            ),
            (vec![0; 55], "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"),
            (vec![0; 56], "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"),
            (vec![0; 57], "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"),
            (vec![0; 64], "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"),
            (vec![0; 1000], "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"),
            (vec![0x41; 1000], "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4"),
            (vec![0x55; 1005], "f4d62ddec0f3dd90ea1380fa16a5ff8dc4c54b21740650f24afc4120903552b0"),
            (
                vec![0; 1_000_000],
                "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025",
            ),
            (
                vec![b'a'; 1_000_000],
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            ),
        ],
    );
}

/// Sources: the Keccak team's ShortMsgKAT_256, the vectors of the crate `sha3`, Ethereum's `Transfer` topic; the long
/// message's digest is from the second implementation that the test of all lengths names.
#[test]
fn keccak256_gives_the_keccak_teams_digests() {
    let hex = |text: &str| hex::decode(text).unwrap();
    check(
        "keccak256",
        &[
            (vec![], "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
            (hex("cc"), "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a"),
            (hex("41fb"), "a8eaceda4d47b3281a795ad9e1ea2122b407baf9aabcb9e18b5717b7873537d2"),
            (hex("1f877c"), "627d7bc1491b2ab127282827b8de2d276b13d7d70fb4c5957fdf20655bc7ac30"),
            (hex("c1ecfdfc"), "b149e766d7612eaf7d55f74e1a4fdd63709a8115b14f61fcd22aa4abc8b8e122"),
            (
                hex(
                    "e926ae8b0af6e53176dbffcc2a6b88c6bd765f939d3d178a9bde9ef3aa131c61e31c1e42cdfaf4b4dcde579a37e150efbef5555b4c1cb40439d835a724e2fae7",
                ),
                "574271cd13959e8ddeae5bfbdb02a3fdf54f2babfd0cbeb893082a974957d0c1",
            ),
            (b"abc".to_vec(), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
            (
                b"Transfer(address,address,uint256)".to_vec(),
                "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
            ),
            (
                vec![b'a'; 1_000_000],
                "fadae6b49f129bbb812be8407b7b2894f34aecf6dbd1f9b0f0c7e9853098fc96",
            ),
        ],
    );
}

/// The expected digests come from CPython: `hashlib.sha256`, and a Keccak written there whose SHA-3 padding was compared
/// with `hashlib.sha3_256`.
#[test]
fn every_length_around_the_blocks_is_padded_rightly() {
    assert_eq!(
        digest_of_all_lengths("sha256"),
        bytes("b90e35153500e9a471591550ee25a954527c6b4448afff95f7949a2ca93300ce")
    );
    assert_eq!(
        digest_of_all_lengths("keccak256"),
        bytes("4ac8a3b6d9ae989d0806e1dc0dca107b1b963d4123c8eefa4743ee2e4db1af28")
    );
}
