//! The ELF check before `dlopen`.
//!
//! The dynamic linker maps what the headers say and then trusts what it finds there: a library that was cut short kills the
//! process with `SIGBUS` or `SIGSEGV` while it is being loaded, and some nonsense in its tables ends in an assertion of the
//! linker, which aborts. So whatever the linker reads or writes before the first instruction of the library has to lie inside
//! the file or its memory first: headers and segments here, the tables behind the dynamic segment in [`dynamic`].
//!
//! Sections are not needed for loading. A library that was stripped of them is accepted; one that has some must have them
//! whole, because they come last in a file and their absence shows that its end is missing.
//!
//! The check is against damage, not against malice: who may put a library in place is the path policy's decision.

mod dynamic;

use crate::{Error, ErrorKind, Result};
use dynamic::Dynamic;
use object::LittleEndian;
use object::elf::{
    EM_AARCH64, EM_X86_64, ET_DYN, FileHeader64, Machine, PF_W, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME,
    PT_GNU_PROPERTY, PT_GNU_RELRO, PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader64, SHT_NOBITS,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// What a plugin's exported symbol begins with; the crate's name follows.
const SYMBOL_PREFIX: &str = "supervm_plugin_";
/// Most segments that a library may have; linkers write about ten.
const SEGMENTS_MAX: u16 = 256;

const MACHINE: Machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
const CLASS_64_BIT: u8 = 2;
const DATA_LITTLE_ENDIAN: u8 = 1;
const ENDIAN: LittleEndian = LittleEndian;

/// Checks that `file` is a whole shared library for this machine and returns the name of its plugin symbol.
///
/// `symbol_bytes_min` is the size that the symbol has at least, `symbol_align` its alignment.
///
/// # Errors
/// `AbiMismatch`, saying what is wrong with the file and what to do.
pub(super) fn check(file: &[u8], symbol_bytes_min: usize, symbol_align: usize) -> Result<String> {
    let header = parse(file)?;
    let image = Image::read(header, file)?;
    check_sections(header, file)?;
    let dynamic = Dynamic::read(&image)?;
    dynamic.check()?;
    let mut found = dynamic.definitions(SYMBOL_PREFIX.as_bytes())?;
    let Some((name, address, size)) = found.pop() else {
        return Err(refused(format!(
            "the library exports no symbol {SYMBOL_PREFIX}*; end the crate with export_plugin!"
        )));
    };
    if !found.is_empty() {
        return Err(refused(
            "the library exports several plugins; build each as a library of its own",
        ));
    }
    let aligned = address.is_multiple_of(symbol_align as u64);
    if size < symbol_bytes_min as u64 || !aligned || !image.holds(address, size, 0) {
        return Err(refused(format!(
            "the symbol {name} is too small or misplaced to be a plugin's header; end the crate with export_plugin!"
        )));
    }
    Ok(name)
}

fn parse(file: &[u8]) -> Result<&FileHeader64<LittleEndian>> {
    if !file.starts_with(b"\x7fELF") {
        return Err(refused(match file.len() {
            0 => "the file is empty; copy or build it again",
            _ => "the file is no shared library; name the lib*.so that cargo built",
        }));
    }
    match file.get(4..6) {
        Some([CLASS_64_BIT, DATA_LITTLE_ENDIAN]) => {}
        Some([CLASS_64_BIT, _]) => {
            return Err(refused(format!(
                "the library is for a big-endian machine; build it for {}",
                std::env::consts::ARCH
            )));
        }
        Some(_) => {
            return Err(refused(format!(
                "the library is for a 32-bit machine; build it for {}",
                std::env::consts::ARCH
            )));
        }
        None => return Err(cut()),
    }
    let header = FileHeader64::<LittleEndian>::parse(file).map_err(malformed)?;
    if header.e_type(ENDIAN) != ET_DYN {
        return Err(refused("the file is ELF, but no shared library; build the crate as a cdylib"));
    }
    if header.e_machine(ENDIAN) != MACHINE {
        return Err(refused(format!(
            "the library is for another machine (ELF machine {}); build it for {}",
            header.e_machine(ENDIAN).0,
            std::env::consts::ARCH
        )));
    }
    Ok(header)
}

fn check_sections(header: &FileHeader64<LittleEndian>, file: &[u8]) -> Result<()> {
    let sections = header.sections(ENDIAN, file).map_err(malformed)?;
    let stored = sections.iter().filter(|section| section.sh_type(ENDIAN) != SHT_NOBITS);
    for section in stored {
        if !inside(file, section.sh_offset(ENDIAN), section.sh_size(ENDIAN)) {
            return Err(cut());
        }
    }
    Ok(())
}

/// The library as it will be in memory.
struct Image<'a> {
    file: &'a [u8],
    /// In the order of their addresses, without overlap.
    segments: Vec<Segment>,
    dynamic: &'a [object::elf::Dyn64<LittleEndian>],
}

/// A part of the file and the addresses, relative to the library's base, that it is mapped to.
struct Segment {
    offset: u64,
    start: u64,
    /// Behind the last byte that comes from the file.
    file_end: u64,
    /// Behind the last byte; what is above `file_end` is zero.
    memory_end: u64,
    flags: u32,
}

const WRITABLE: u32 = PF_W.0;
const EXECUTABLE: u32 = PF_X.0;

impl<'a> Image<'a> {
    fn read(header: &FileHeader64<LittleEndian>, file: &'a [u8]) -> Result<Self> {
        if header.e_phnum(ENDIAN) > SEGMENTS_MAX {
            return Err(damaged("too many segments"));
        }
        let headers = header.program_headers(ENDIAN, file).map_err(malformed)?;
        if headers.iter().any(|one| !inside(file, one.p_offset(ENDIAN), one.p_filesz(ENDIAN))) {
            return Err(cut());
        }
        let of_kind = |kind| headers.iter().filter(move |one| one.p_type(ENDIAN) == kind);
        let segments: Vec<_> = of_kind(PT_LOAD).map(Segment::read).collect::<Result<_>>()?;
        if segments.is_empty() {
            return Err(refused("the library has nothing to load; build the crate as a cdylib"));
        }
        if segments.windows(2).any(|pair| pair[0].memory_end > pair[1].start) {
            return Err(damaged("its segments overlap or are out of order"));
        }
        let mut image = Self { file, segments, dynamic: &[] };
        let read_by_the_linker =
            [PT_DYNAMIC, PT_TLS, PT_NOTE, PT_GNU_PROPERTY, PT_GNU_RELRO, PT_GNU_EH_FRAME];
        for one in read_by_the_linker.into_iter().flat_map(of_kind) {
            // Only what comes from the file has to be mapped: thread-local variables are zeros that exist per thread.
            if !image.holds(one.p_vaddr(ENDIAN), one.p_filesz(ENDIAN), 0) {
                return Err(damaged("a segment lies outside of what is loaded"));
            }
        }
        let mut dynamics = of_kind(PT_DYNAMIC);
        let (Some(dynamic), None) = (dynamics.next(), dynamics.next()) else {
            return Err(refused("the library is not dynamic; build the crate as a cdylib"));
        };
        // The linker reads the dynamic segment through its address, not through its place in the file.
        let bytes = image.bytes(dynamic.p_vaddr(ENDIAN), dynamic.p_filesz(ENDIAN));
        let entries = bytes.and_then(entries_of).ok_or_else(|| damaged("no dynamic segment"))?;
        image.dynamic = entries;
        Ok(image)
    }

    /// The bytes of the file that are mapped to `address`.
    fn bytes(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        self.bytes_from(address)?.get(..usize::try_from(size).ok()?)
    }

    /// As [`bytes`](Self::bytes), up to the end of the segment's part of the file.
    fn bytes_from(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self
            .segments
            .iter()
            .find(|segment| (segment.start..segment.file_end).contains(&address))?;
        let start = segment.offset + (address - segment.start);
        let end = segment.offset + (segment.file_end - segment.start);
        self.file.get(start as usize..end as usize)
    }

    /// Is `[address, address + size)` memory of one segment that has all of `flags`?
    fn holds(&self, address: u64, size: u64, flags: u32) -> bool {
        let Some(end) = address.checked_add(size) else { return false };
        self.segments.iter().any(|segment| {
            segment.start <= address && end <= segment.memory_end && segment.flags & flags == flags
        })
    }
}

impl Segment {
    fn read(header: &ProgramHeader64<LittleEndian>) -> Result<Self> {
        let (offset, start) = (header.p_offset(ENDIAN), header.p_vaddr(ENDIAN));
        let (file_bytes, memory_bytes) = (header.p_filesz(ENDIAN), header.p_memsz(ENDIAN));
        let align = header.p_align(ENDIAN).max(1);
        let congruent = align.is_power_of_two() && offset % align == start % align;
        // Half the address space: no sum of an address and a size below overflows.
        let memory_end = start.checked_add(memory_bytes).filter(|end| *end < 1 << 47);
        match memory_end {
            Some(memory_end) if congruent && file_bytes <= memory_bytes => Ok(Self {
                offset,
                start,
                file_end: start + file_bytes,
                memory_end,
                flags: header.p_flags(ENDIAN).0,
            }),
            _ => Err(damaged("a segment has an impossible size, address or alignment")),
        }
    }
}

fn entries_of(bytes: &[u8]) -> Option<&[object::elf::Dyn64<LittleEndian>]> {
    let count = bytes.len() / size_of::<object::elf::Dyn64<LittleEndian>>();
    object::pod::slice_from_bytes(bytes, count).ok().map(|(entries, _)| entries)
}

fn inside(file: &[u8], offset: u64, size: u64) -> bool {
    offset.checked_add(size).is_some_and(|end| end <= file.len() as u64)
}

fn cut() -> Error {
    refused("the file is cut short; copy or build it again")
}

fn damaged(what: &str) -> Error {
    refused(format!("the file is damaged: {what}; copy or build it again"))
}

fn malformed(error: object::Error) -> Error {
    refused(format!("the file is cut short or damaged: {error}; copy or build it again"))
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::AbiMismatch, "check library", message)
}
