//! State as it was.

use super::view::{StateRows, StateView};
use crate::history::{AsOf, AsOfRows};
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

impl StateView for AsOf {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.get_into(key, value)
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        let rows = AsOf::rows(self, range, direction)?;
        Ok(Box::new(PastRows { rows, key: Vec::new(), value: Vec::new(), stands: false }))
    }
}

struct PastRows {
    rows: AsOfRows,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Are `key` and `value` the next entry?
    stands: bool,
}

impl StateRows for PastRows {
    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.stands {
            let Some((key, _, value)) = self.rows.next()? else { return Ok(None) };
            self.key.clear();
            self.key.extend_from_slice(key);
            self.value.clear();
            self.value.extend_from_slice(value);
            self.stands = true;
        }
        Ok(Some((&self.key, &self.value)))
    }

    fn advance(&mut self) {
        self.stands = false;
    }
}
