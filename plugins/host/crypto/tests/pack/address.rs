use crate::{Crypto, bytes};
use k256::ecdsa::SigningKey;
use supervm_host_crypto::checksum_address;
use supervm_host_crypto::status::{INVALID_KEY, OK};

/// Private keys with their addresses: the three smallest, the Keccak-256 of "cow", and the first two accounts of the
/// development networks' well-known mnemonic.
const ACCOUNTS: [(&str, &str); 6] = [
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000002",
        "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000003",
        "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
    ),
    (
        "c85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4",
        "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826",
    ),
    (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    ),
    (
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    ),
];

/// Every address in EIP-55's list of test cases.
const EIP55: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn the_address_of_a_key_is_ethereums_from_either_encoding() {
    let mut crypto = Crypto::new();
    for (secret, expected) in ACCOUNTS {
        let key = SigningKey::from_slice(&bytes::<32>(secret)).unwrap();
        for compress in [true, false] {
            let key = key.verifying_key().to_sec1_point(compress);
            let (status, address) = crypto.eth_address(key.as_bytes());
            assert_eq!(status, OK);
            assert_eq!(checksum_address(&address.try_into().unwrap()), expected);
        }
    }
}

#[test]
fn an_addresss_case_is_eip_55s_checksum() {
    for expected in EIP55 {
        let address = bytes(&expected[2..].to_lowercase());
        assert_eq!(checksum_address(&address), expected);
    }
}

#[test]
fn what_is_no_key_has_no_address_and_leaves_zeros() {
    let mut crypto = Crypto::new();
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let compressed = key.verifying_key().to_sec1_point(true).as_bytes().to_vec();
    let uncompressed = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    let tagged = |key: &[u8], tag: u8| [&[tag], &key[1..]].concat();
    let mut off_the_curve = uncompressed.clone();
    off_the_curve[64] ^= 1;
    let mut no_keys = vec![
        vec![],
        vec![0],
        off_the_curve,
        vec![2; 32],
        compressed[..32].to_vec(),
        uncompressed[1..].to_vec(),
        [&compressed[..], &[0]].concat(),
        [&[2][..], &[0xff; 32]].concat(),
        // No point has this first coordinate.
        [&[2][..], &[0; 31], &[5]].concat(),
    ];
    no_keys.extend([0, 1, 4, 5, 6, 7, 255].map(|tag| tagged(&compressed, tag)));
    no_keys.extend([0, 2, 3, 5, 6, 7, 255].map(|tag| tagged(&uncompressed, tag)));
    for no_key in no_keys {
        assert_eq!(crypto.eth_address(&no_key), (INVALID_KEY, vec![0; 20]), "{no_key:02x?}");
    }
}
