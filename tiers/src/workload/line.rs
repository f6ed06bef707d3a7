//! The lines of a file of blocks.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, Read};
use supervm_engine::block::AccessList;
use supervm_engine::runtime::{BlockTransaction, CallArguments};
use supervm_plugin_sdk::host::Address;

/// Longest line of a file, bytes.
pub const LINE_BYTES_MAX: u64 = 256 << 20;

/// A line: `{"deploy":{..}}` or `{"block":{..}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// A contract that the blocks after it call by its name.
    Deploy {
        /// What this file calls it; not part of the chain.
        name: String,
        /// WASM text, or `0x` and the hex digits of its binary form.
        code: String,
    },
    /// A block.
    Block(BlockLine),
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLine {
    /// Its number, above that of the block before it.
    pub number: u64,
    /// Seconds since 1970-01-01 UTC, not before the block before it.
    pub timestamp: u64,
    /// Its transactions, in their order.
    pub transactions: Vec<CallLine>,
}

/// A transaction: a call of a contract.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallLine {
    /// The contract: its name in this file, or its address.
    pub contract: String,
    /// The exported function.
    pub function: String,
    /// Who calls; the address of zeros when nothing is said.
    #[serde(serialize_with = "to_digits", deserialize_with = "from_digits")]
    pub sender: Address,
    /// The input, for a function that reads one: `0x` and hex digits.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "to_optional_digits")]
    #[serde(deserialize_with = "from_optional_digits")]
    pub input: Option<Vec<u8>>,
    /// One integer for each parameter, for a function with parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<i64>,
    /// Most gas; the node's limit for a call when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas: Option<u64>,
    /// The keys that it says it touches, each as the contract's address, a colon and the key, in hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessList>,
}

impl CallLine {
    /// The transaction, for a file whose contracts have these addresses, and a node with this limit for a call's gas.
    ///
    /// # Errors
    /// A text that says what is wrong, and what would be accepted.
    pub fn transaction(
        &self,
        contracts: &HashMap<String, Address>,
        gas_limit: u64,
    ) -> Result<BlockTransaction, String> {
        let contract = match contracts.get(&self.contract) {
            Some(address) => *address,
            None => digits(&self.contract).map_err(|_| {
                format!(
                    "there is no contract \"{}\"; expected the name of one that is deployed above, or 0x and the 40 hex digits of an address",
                    self.contract
                )
            })?,
        };
        let arguments = match &self.input {
            Some(_) if !self.args.is_empty() => {
                return Err("a call has either \"input\" or \"args\"".to_owned());
            }
            Some(input) => CallArguments::Input(input.clone()),
            None => CallArguments::Values(self.args.clone()),
        };
        Ok(BlockTransaction {
            contract,
            function: self.function.clone(),
            arguments,
            sender: self.sender,
            gas_limit: self.gas.unwrap_or(gas_limit),
            access: self.access.clone(),
        })
    }
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for LineError {}

/// Reads the lines of a file. Empty lines are passed over.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    text: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, text: Vec::new(), number: 0, bytes: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_line(&mut self) -> Option<Result<Line, String>> {
        loop {
            self.number += 1;
            self.text.clear();
            let most = LINE_BYTES_MAX + 1;
            let read = match self.reader.by_ref().take(most).read_until(b'\n', &mut self.text) {
                Ok(0) => return None,
                Ok(read) => read as u64,
                Err(error) => return Some(Err(format!("cannot be read: {error}"))),
            };
            self.bytes += read;
            if read == most {
                return Some(Err(format!("it is longer than {LINE_BYTES_MAX} bytes")));
            }
            if self.text.iter().any(|byte| !byte.is_ascii_whitespace()) {
                return Some(serde_json::from_slice(&self.text).map_err(|error| error.to_string()));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.read_line()?;
        Some(line.map_err(|message| LineError { line: self.number, message }))
    }
}

fn digits<const N: usize>(text: &str) -> Result<[u8; N], String> {
    bytes(text)?.try_into().map_err(|bytes: Vec<u8>| format!("{} bytes; expected {N}", bytes.len()))
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let decoded = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    decoded.ok_or_else(|| format!("\"{text}\" is not 0x and pairs of hex digits"))
}

fn to_digits<S: Serializer>(bytes: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("0x{}", hex::encode(bytes)))
}

fn from_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    digits(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn to_optional_digits<S: Serializer>(
    bytes: &Option<Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("0x{}", hex::encode(bytes.as_deref().unwrap_or_default())))
}

fn from_optional_digits<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    bytes(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Line, LineError>> {
        Lines::new(text.as_bytes()).collect()
    }

    #[test]
    fn a_line_reads_back_as_what_was_written() {
        let call = CallLine {
            contract: "token".to_owned(),
            function: "transfer".to_owned(),
            sender: [7; 20],
            input: Some(vec![1, 2]),
            gas: Some(9),
            access: Some(AccessList::default()),
            ..CallLine::default()
        };
        let block = BlockLine { number: 1, timestamp: 2, transactions: vec![call] };
        let deploy = Line::Deploy { name: "token".to_owned(), code: "(module)".to_owned() };
        for line in [Line::Block(block), deploy] {
            let text = serde_json::to_string(&line).expect("serialises");
            assert_eq!(read(&format!("\n{text}\n\n")), [Ok(line)]);
        }
    }

    #[test]
    fn an_error_names_the_line_and_what_is_wrong() {
        let found =
            read("\n{\"block\":{\"number\":1,\"timestamp\":1,\"transactions\":[]}}\n{\"blok\":1}");
        let error = found[1].as_ref().expect_err("no such line");
        assert_eq!(error.line, 3);
        assert!(error.message.contains("blok"), "{error}");
        let short =
            read(r#"{"block":{"number":1,"timestamp":1,"transactions":[{"sender":"0x12"}]}}"#);
        assert!(short[0].as_ref().is_err_and(|error| error.message.contains("expected 20")));
    }

    #[test]
    fn a_call_is_of_a_contract_above_or_of_an_address() {
        let contracts = HashMap::from([("token".to_owned(), [1; 20])]);
        let of = |contract: &str| {
            CallLine { contract: contract.to_owned(), ..CallLine::default() }
                .transaction(&contracts, 5)
                .map(|transaction| (transaction.contract, transaction.gas_limit))
        };
        assert_eq!(of("token"), Ok(([1; 20], 5)));
        assert_eq!(of(&format!("0x{}", "02".repeat(20))), Ok(([2; 20], 5)));
        assert!(of("tokn").is_err_and(|error| error.contains("no contract \"tokn\"")));
        let both = CallLine {
            contract: "token".to_owned(),
            input: Some(Vec::new()),
            args: vec![1],
            ..CallLine::default()
        };
        assert!(both.transaction(&contracts, 5).is_err());
    }
}
