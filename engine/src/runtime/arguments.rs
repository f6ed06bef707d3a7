//! Arguments and results, between integers, bytes and wasmtime's values.

use super::module::Signature;
use super::receipt::CallArguments;
use super::trap::Trap;
use supervm_plugin_sdk::host::ValueType;
use wasmtime::Val;

/// The values and the input that a function of type `signature` gets.
pub(super) fn resolve(
    arguments: &CallArguments,
    signature: &Signature,
) -> Result<(Vec<Val>, Vec<u8>), Trap> {
    match arguments {
        CallArguments::Values(values) => {
            expect_count(values.len(), signature)?;
            let pairs = values.iter().zip(&signature.params).enumerate();
            let values = pairs.map(|(index, (value, kind))| typed(index, *value, *kind));
            Ok((values.collect::<Result<_, _>>()?, Vec::new()))
        }
        CallArguments::Input(input) if signature.params.is_empty() => {
            Ok((Vec::new(), input.clone()))
        }
        CallArguments::Input(_) => {
            let what = format!("the function has the type {signature} and takes no input bytes");
            Err(Trap::BadArguments { what })
        }
    }
}

/// The values that a calling contract packed into `input` for a function of type `signature`: each little-endian, one after
/// another. A function without parameters takes any input.
pub(super) fn unpack(input: &[u8], signature: &Signature) -> Result<Vec<Val>, Trap> {
    let mut rest = input;
    let mut values = Vec::with_capacity(signature.params.len());
    for kind in &signature.params {
        let value = match kind {
            ValueType::I32 => take(&mut rest).map(|bytes| Val::I32(i32::from_le_bytes(bytes))),
            ValueType::I64 => take(&mut rest).map(|bytes| Val::I64(i64::from_le_bytes(bytes))),
        };
        values.push(value.ok_or_else(|| wrong_length(input, signature))?);
    }
    if !rest.is_empty() && !values.is_empty() {
        return Err(wrong_length(input, signature));
    }
    Ok(values)
}

/// A result as the bytes that a calling contract gets.
pub(super) fn pack(result: Option<(ValueType, i64)>) -> Vec<u8> {
    match result {
        Some((ValueType::I32, value)) => (value as i32).to_le_bytes().to_vec(),
        Some((ValueType::I64, value)) => value.to_le_bytes().to_vec(),
        None => Vec::new(),
    }
}

/// The values of a call back into the contract, from their bits; `None` when their number is wrong.
pub(super) fn from_bits(bits: &[u64], signature: &Signature) -> Option<Vec<Val>> {
    let values = bits.iter().zip(&signature.params).map(|(bits, kind)| match kind {
        ValueType::I32 => Val::I32(*bits as i32),
        ValueType::I64 => Val::I64(*bits as i64),
    });
    (bits.len() == signature.params.len()).then(|| values.collect())
}

/// An integer value; an `i32` keeps its sign.
pub(super) fn integer(value: &Val) -> i64 {
    match value {
        Val::I32(value) => i64::from(*value),
        Val::I64(value) => *value,
        _ => unreachable!("functions of other types are never called"),
    }
}

fn expect_count(found: usize, signature: &Signature) -> Result<(), Trap> {
    if found == signature.params.len() {
        return Ok(());
    }
    let what = format!("{found} values for a function of type {signature}");
    Err(Trap::BadArguments { what })
}

fn typed(index: usize, value: i64, kind: ValueType) -> Result<Val, Trap> {
    let narrow = i32::try_from(value).or_else(|_| u32::try_from(value).map(|value| value as i32));
    match kind {
        ValueType::I64 => Ok(Val::I64(value)),
        ValueType::I32 => narrow.map(Val::I32).map_err(|_| {
            let accepted = "an i32 lies in -2147483648 to 4294967295";
            Trap::BadArguments { what: format!("argument {index} is {value}; {accepted}") }
        }),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

fn wrong_length(input: &[u8], signature: &Signature) -> Trap {
    let what = format!("{} bytes of input for a function of type {signature}", input.len());
    Trap::BadArguments { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I32: ValueType = ValueType::I32;
    const I64: ValueType = ValueType::I64;

    fn signature(params: &[ValueType]) -> Signature {
        Signature { params: params.to_vec(), result: None }
    }

    fn integers(values: Vec<Val>) -> Vec<i64> {
        values.iter().map(integer).collect()
    }

    #[test]
    fn an_i32_takes_signed_and_unsigned_values_and_nothing_wider() {
        let resolved = |value| {
            resolve(&CallArguments::Values(vec![value]), &signature(&[I32]))
                .map(|(values, _)| integers(values)[0])
        };
        assert_eq!(resolved(-1), Ok(-1));
        assert_eq!(resolved(i64::from(u32::MAX)), Ok(-1));
        assert!(resolved(i64::from(u32::MAX) + 1).is_err());
        assert!(resolved(i64::from(i32::MIN) - 1).is_err());
    }

    #[test]
    fn the_number_of_values_must_fit_and_input_needs_a_function_without_parameters() {
        let two = CallArguments::Values(vec![1, 2]);
        assert!(resolve(&two, &signature(&[I64])).is_err());
        let input = CallArguments::Input(vec![7]);
        assert!(resolve(&input, &signature(&[I64])).is_err());
        assert_eq!(resolve(&input, &signature(&[])).map(|(_, input)| input), Ok(vec![7]));
    }

    #[test]
    fn packed_arguments_are_little_endian_and_of_exactly_their_length() {
        let two = signature(&[I32, I64]);
        let packed = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(unpack(&packed, &two).map(integers), Ok(vec![1, 2]));
        assert!(unpack(&packed[..11], &two).is_err());
        assert!(unpack(&[&packed[..], &[0]].concat(), &two).is_err());
        assert_eq!(unpack(&packed, &signature(&[])).map(integers), Ok(vec![]));
        assert_eq!(pack(Some((I32, -1))), [0xff; 4]);
        assert_eq!(pack(Some((I64, 1))).len(), 8);
    }
}
