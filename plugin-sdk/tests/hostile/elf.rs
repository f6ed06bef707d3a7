//! Reads and patches the parts of a 64-bit ELF file that the tests damage.

use object::LittleEndian;
use object::elf::{
    DynamicTag, FileHeader64, PT_DYNAMIC, R_AARCH64_RELATIVE, R_X86_64_RELATIVE, RelocationType,
    SHT_DYNSYM, SHT_RELA,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, SectionHeader, Sym};

const ENDIAN: LittleEndian = LittleEndian;

const RELATIVE: [RelocationType; 2] = [R_X86_64_RELATIVE, R_AARCH64_RELATIVE];

type Header = FileHeader64<LittleEndian>;

fn header(file: &[u8]) -> &Header {
    Header::parse(file).unwrap()
}

/// Where the section header table begins.
pub(crate) fn section_headers_at(file: &[u8]) -> usize {
    header(file).e_shoff(ENDIAN) as usize
}

/// The library without its section headers, as `strip --strip-section-headers` leaves it.
pub(crate) fn without_sections(file: &[u8]) -> Vec<u8> {
    let mut stripped = file[..section_headers_at(file)].to_vec();
    stripped[0x28..0x30].fill(0);
    stripped[0x3c..0x40].fill(0);
    stripped
}

/// The dynamic segment: each entry's tag, and where its value is in the file.
pub(crate) fn dynamic(file: &[u8]) -> Vec<(DynamicTag, usize)> {
    let segments = header(file).program_headers(ENDIAN, file).unwrap();
    let segment = segments.iter().find(|one| one.p_type(ENDIAN) == PT_DYNAMIC).unwrap();
    let start = segment.p_offset(ENDIAN) as usize;
    let entries = segment.dynamic(ENDIAN, file).unwrap().unwrap();
    let tags = entries.iter().map(|entry| entry.tag(ENDIAN));
    tags.enumerate().map(|(index, tag)| (tag, start + index * 16 + 8)).collect()
}

/// Where the program headers of the loaded segments begin.
pub(crate) fn program_headers(file: &[u8]) -> impl Iterator<Item = usize> {
    let count = header(file).e_phnum(ENDIAN) as usize;
    (0..count).map(|index| 64 + index * 56)
}

/// Where the relocations begin, each 24 bytes.
pub(crate) fn first_relocation(file: &[u8]) -> usize {
    let sections = header(file).sections(ENDIAN, file).unwrap();
    let section = sections.iter().find(|one| one.sh_type(ENDIAN) == SHT_RELA).unwrap();
    section.sh_offset(ENDIAN) as usize
}

/// Where the text is that `symbol`'s data points to and that begins with `text`.
pub(crate) fn text_behind(file: &[u8], symbol: &str, text: &str) -> usize {
    let sections = header(file).sections(ENDIAN, file).unwrap();
    let symbols = sections.symbols(ENDIAN, file, SHT_DYNSYM).unwrap();
    let named = |one: &&object::elf::Sym64<LittleEndian>| {
        one.name(ENDIAN, symbols.strings()) == Ok(symbol.as_bytes())
    };
    let found = symbols.iter().find(named).unwrap();
    let range = found.st_value(ENDIAN)..found.st_value(ENDIAN) + found.st_size(ENDIAN);
    let relocations = sections.iter().filter_map(|one| one.rela(ENDIAN, file).unwrap());
    let pointers = relocations.flat_map(|(relocations, _)| relocations).filter(|one| {
        RELATIVE.contains(&one.r_type(ENDIAN, false)) && range.contains(&one.r_offset(ENDIAN))
    });
    let targets: Vec<_> = pointers.map(|one| one.r_addend(ENDIAN) as usize).collect();
    // Constants are in a segment whose addresses are its places in the file.
    let at = targets
        .into_iter()
        .find(|at| file.get(*at..).is_some_and(|bytes| bytes.starts_with(text.as_bytes())));
    at.expect("the symbol points to the text")
}
