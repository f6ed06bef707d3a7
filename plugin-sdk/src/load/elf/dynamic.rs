//! The tables behind the dynamic segment: strings, symbols, hashes, relocations.

use super::{ENDIAN, EXECUTABLE, Image, WRITABLE, damaged, refused};
use crate::Result;
use object::elf::{
    DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ, DT_GNU_HASH, DT_HASH, DT_INIT, DT_INIT_ARRAY,
    DT_INIT_ARRAYSZ, DT_JMPREL, DT_NEEDED, DT_NULL, DT_PLTREL, DT_PLTRELSZ, DT_RELA, DT_RELACOUNT,
    DT_RELAENT, DT_RELASZ, DT_RELR, DT_RELRENT, DT_RELRSZ, DT_RPATH, DT_RUNPATH, DT_SONAME,
    DT_STRSZ, DT_STRTAB, DT_SYMENT, DT_SYMTAB, DT_VERDEF, DT_VERNEED, DT_VERSYM, DynamicTag,
    FileHeader64, R_AARCH64_RELATIVE, R_X86_64_RELATIVE, Rela64, RelocationType, Sym64,
};
use object::pod::slice_from_bytes;
use object::read::StringTable;
use object::read::elf::{GnuHashTable, HashTable, Sym};
use object::{LittleEndian, U32, U64};

type Header = FileHeader64<LittleEndian>;
type Symbol = Sym64<LittleEndian>;

const RELATIVE: RelocationType =
    if cfg!(target_arch = "aarch64") { R_AARCH64_RELATIVE } else { R_X86_64_RELATIVE };
const WORD_BYTES: u64 = size_of::<u64>() as u64;
const SYMBOL_BYTES: u64 = size_of::<Symbol>() as u64;
const RELOCATION_BYTES: u64 = size_of::<Rela64<LittleEndian>>() as u64;

/// The dynamic segment of a library, with its strings and symbols.
pub(super) struct Dynamic<'a> {
    image: &'a Image<'a>,
    entries: Vec<(DynamicTag, u64)>,
    strings: &'a [u8],
    symbols: &'a [Symbol],
}

impl<'a> Dynamic<'a> {
    /// Reads the dynamic segment's entries and finds strings and symbols.
    ///
    /// # Errors
    /// `AbiMismatch` when the linker would read outside of the file.
    pub(super) fn read(image: &'a Image<'a>) -> Result<Self> {
        let end = image.dynamic.iter().position(|entry| entry.d_tag.get(ENDIAN) == DT_NULL);
        let end = end.ok_or_else(|| damaged("the dynamic segment has no end"))?;
        let entries = image.dynamic[..end]
            .iter()
            .map(|entry| (entry.d_tag.get(ENDIAN), entry.d_val.get(ENDIAN)))
            .collect();
        let mut dynamic = Self { image, entries, strings: &[], symbols: &[] };
        let strings = dynamic.value(DT_STRTAB).zip(dynamic.value(DT_STRSZ));
        let strings = strings.and_then(|(address, size)| image.bytes(address, size));
        let strings = strings.filter(|strings| strings.last() == Some(&0));
        let strings =
            strings.ok_or_else(|| damaged("its strings are cut or outside of the file"))?;
        dynamic.strings = strings;
        dynamic.symbols = dynamic.find_symbols()?;
        Ok(dynamic)
    }

    /// Checks every table that the linker reads and every place that it writes to.
    ///
    /// # Errors
    /// `AbiMismatch`.
    pub(super) fn check(&self) -> Result<()> {
        self.check_strings()?;
        self.check_entry_sizes()?;
        self.check_relocations(DT_RELA, DT_RELASZ, self.value(DT_RELACOUNT))?;
        self.check_relocations(DT_JMPREL, DT_PLTRELSZ, None)?;
        self.check_relative_relocations()?;
        for (table, size) in [(DT_INIT_ARRAY, DT_INIT_ARRAYSZ), (DT_FINI_ARRAY, DT_FINI_ARRAYSZ)] {
            self.table(table, size)?;
        }
        for tag in [DT_INIT, DT_FINI] {
            if self.value(tag).is_some_and(|address| !self.image.holds(address, 1, EXECUTABLE)) {
                return Err(damaged("its initialiser is not code"));
            }
        }
        let versions = self.symbols.len() as u64 * size_of::<u16>() as u64;
        for (tag, bytes) in [(DT_VERSYM, versions), (DT_VERNEED, 1), (DT_VERDEF, 1)] {
            if self.value(tag).is_some_and(|address| self.image.bytes(address, bytes).is_none()) {
                return Err(damaged("its symbol versions lie outside of the file"));
            }
        }
        Ok(())
    }

    /// Name, address and size of the defined symbols that begin with `prefix`.
    ///
    /// # Errors
    /// `AbiMismatch` when a name lies outside of the strings.
    pub(super) fn definitions(&self, prefix: &[u8]) -> Result<Vec<(String, u64, u64)>> {
        let strings = StringTable::new(self.strings, 0, self.strings.len() as u64);
        let mut found = Vec::new();
        for symbol in self.symbols {
            let name = symbol.name(ENDIAN, strings);
            let name = name.map_err(|_| damaged("a symbol's name lies outside of its strings"))?;
            if name.starts_with(prefix) && symbol.is_definition(ENDIAN, strings) {
                let name = String::from_utf8_lossy(name).into_owned();
                found.push((name, symbol.st_value(ENDIAN), symbol.st_size(ENDIAN)));
            }
        }
        Ok(found)
    }

    fn value(&self, tag: DynamicTag) -> Option<u64> {
        // The linker keeps the last entry of a tag.
        self.entries.iter().rev().find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    /// The bytes of a table of words; empty when the library has none.
    fn table(&self, address: DynamicTag, size: DynamicTag) -> Result<&'a [u8]> {
        match (self.value(address), self.value(size)) {
            (None, None) => Ok(&[]),
            (Some(address), Some(size)) if address % WORD_BYTES == 0 && size % WORD_BYTES == 0 => {
                self.image.bytes(address, size).ok_or_else(|| {
                    damaged("a table of the dynamic segment lies outside of the file")
                })
            }
            // The linker takes it for granted that who has a table has its size.
            _ => Err(damaged("a table of the dynamic segment has no place or no size")),
        }
    }

    /// The symbol table, whose length only the hash tables tell.
    fn find_symbols(&self) -> Result<&'a [Symbol]> {
        let Some(address) = self.value(DT_SYMTAB) else { return Ok(&[]) };
        let count = match (self.value(DT_GNU_HASH), self.value(DT_HASH)) {
            (Some(hash), _) => self.gnu_symbol_count(hash)?,
            (None, Some(hash)) => {
                let bytes = self.image.bytes_from(hash).unwrap_or_default();
                let table = HashTable::<Header>::parse(ENDIAN, bytes);
                table.map_err(|_| damaged("its symbol hashes are cut"))?.symbol_table_length()
            }
            (None, None) => 0,
        };
        let bytes = self.image.bytes(address, u64::from(count) * SYMBOL_BYTES);
        let symbols = bytes.and_then(|bytes| slice_from_bytes(bytes, count as usize).ok());
        symbols
            .map(|(symbols, _)| symbols)
            .ok_or_else(|| damaged("its symbols lie outside of the file"))
    }

    fn gnu_symbol_count(&self, address: u64) -> Result<u32> {
        let wrong = || damaged("its symbol hashes are cut or impossible");
        let bytes = self.image.bytes_from(address).ok_or_else(wrong)?;
        let (header, _) = slice_from_bytes::<U32<LittleEndian>>(bytes, 4).map_err(|()| wrong())?;
        let [buckets, base, blooms] = [0, 1, 2].map(|index| header[index].get(ENDIAN));
        // The linker asserts this.
        if !blooms.is_power_of_two() {
            return Err(wrong());
        }
        let table = GnuHashTable::<Header>::parse(ENDIAN, bytes).map_err(|_| wrong())?;
        let first_bucket = 16 + u64::from(blooms) * WORD_BYTES;
        let buckets = self.image.bytes(address + first_bucket, u64::from(buckets) * 4);
        let buckets = buckets.ok_or_else(wrong)?.chunks_exact(4);
        let used = buckets.filter(|bucket| *bucket != [0; 4]).count();
        if used == 0 {
            // Nothing is exported; what is imported stands before the first hashed symbol.
            return Ok(base);
        }
        table.symbol_table_length(ENDIAN).ok_or_else(wrong)
    }

    fn check_strings(&self) -> Result<()> {
        for (tag, offset) in &self.entries {
            if ![DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH].contains(tag) {
                continue;
            }
            let text = usize::try_from(*offset).ok().and_then(|offset| self.strings.get(offset..));
            let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
            let text = text.ok_or_else(|| damaged("a name lies outside of its strings"))?;
            check_search(*tag, &String::from_utf8_lossy(text))?;
        }
        Ok(())
    }

    /// The linker asserts these.
    fn check_entry_sizes(&self) -> Result<()> {
        let expected = [
            (DT_SYMTAB, DT_SYMENT, SYMBOL_BYTES),
            (DT_RELA, DT_RELAENT, RELOCATION_BYTES),
            (DT_JMPREL, DT_PLTREL, DT_RELA.0 as u64),
            (DT_RELR, DT_RELRENT, WORD_BYTES),
        ];
        for (table, tag, size) in expected {
            if self.value(table).is_some() && self.value(tag) != Some(size) {
                return Err(damaged("a table's entries have an impossible size"));
            }
        }
        Ok(())
    }

    /// `relative` is how many of the first ones have to be of the simplest kind, which the linker asserts.
    fn check_relocations(
        &self,
        address: DynamicTag,
        size: DynamicTag,
        relative: Option<u64>,
    ) -> Result<()> {
        let bytes = self.table(address, size)?;
        let count = bytes.len() / RELOCATION_BYTES as usize;
        let relocations = slice_from_bytes::<Rela64<LittleEndian>>(bytes, count);
        let (relocations, _) = relocations.map_err(|()| damaged("misaligned relocations"))?;
        let relative = relative.unwrap_or(0);
        let kinds = relocations.iter().map(|relocation| relocation.r_info.get(ENDIAN) as u32);
        if (kinds.take_while(|kind| *kind == RELATIVE.0).count() as u64) < relative {
            return Err(damaged("its relocations are not of the kind that it says"));
        }
        for relocation in relocations {
            let info = relocation.r_info.get(ENDIAN);
            let (symbol, kind) = (info >> 32, info as u32);
            if symbol >= self.symbols.len().max(1) as u64 {
                return Err(damaged("a relocation names no symbol"));
            }
            if kind != 0 {
                self.check_patched(relocation.r_offset.get(ENDIAN))?;
            }
        }
        Ok(())
    }

    /// `DT_RELR`: an even word is an address; an odd one a bitmap of the 63 words that follow what came before it.
    fn check_relative_relocations(&self) -> Result<()> {
        let bytes = self.table(DT_RELR, DT_RELRSZ)?;
        let words = slice_from_bytes::<U64<LittleEndian>>(bytes, bytes.len() / 8);
        let (words, _) = words.map_err(|()| damaged("misaligned relocations"))?;
        let mut next = 0_u64;
        for word in words.iter().map(|word| word.get(ENDIAN)) {
            if word & 1 == 0 {
                self.check_patched(word)?;
                next = word + WORD_BYTES;
                continue;
            }
            for bit in (0..63).filter(|bit| (word >> (bit + 1)) & 1 == 1) {
                self.check_patched(next.saturating_add(bit * WORD_BYTES))?;
            }
            next = next.saturating_add(63 * WORD_BYTES);
        }
        Ok(())
    }

    fn check_patched(&self, address: u64) -> Result<()> {
        if self.image.holds(address, WORD_BYTES, WRITABLE) {
            return Ok(());
        }
        Err(damaged("a relocation patches what is not the library's writable memory"))
    }
}

/// Refuses what would have the linker look in the working directory, or in a place that does not exist for a library that is
/// loaded from memory.
fn check_search(tag: DynamicTag, text: &str) -> Result<()> {
    let wrong = match tag {
        DT_NEEDED => text.contains('/') && !text.starts_with('/'),
        DT_RPATH | DT_RUNPATH => text.split(':').any(|dir| !dir.starts_with('/')),
        _ => false,
    };
    if !wrong {
        return Ok(());
    }
    Err(refused(format!(
        "the library looks for others in \"{text}\"; link them statically, or name them by absolute paths"
    )))
}
