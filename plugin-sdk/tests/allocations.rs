//! What the boundary allocates: nothing, where the caller's buffers are reused.
#![cfg(feature = "host")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use supervm_plugin_sdk::load;
use supervm_plugin_sdk::prelude::*;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator; counts for each thread, because the test's harness has threads of its own.
struct Counting;

// SAFETY: the system's allocator does the work, with what the caller vouches for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Holds one value under every key, and allocates nothing by itself.
struct OneValue;

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl StorageFactory for OneValue {
    type Config = NoOptions;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
    }

    fn open(_: &Path, _: NoOptions, _: OpenMode) -> Result<Self> {
        Ok(Self)
    }
}

impl StorageBackend for OneValue {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, _: &[u8], value: &mut ByteBuf) -> Result<bool> {
        value.set(&[7; 100]);
        Ok(true)
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        assert_eq!(batch.iter().count(), batch.len());
        Ok(())
    }

    fn cursor(&self, _: KeyRange<'_>, _: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(Endless))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }
}

struct Endless;

impl Cursor for Endless {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        while page.push(b"key", &[7; 100]) {}
        Ok(PageEnd::More)
    }

    fn seek(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

export_plugin!(storage: OneValue, name: "one-value");

/// How often `work` allocates when it is done again; the first time fills the buffers.
fn allocations(mut work: impl FnMut()) -> u64 {
    work();
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| work());
    ALLOCATIONS.get() - before
}

#[test]
fn a_reused_buffer_costs_no_allocation() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let plugins = load::linked().expect("linked plugins are sound");
    let storage = plugins[0].open_storage(dir.path(), "", OpenMode::Create).expect("opens");
    assert_eq!(allocations(|| drop(vec![0_u8; 10])), 100, "the allocator counts");

    let mut value = ByteBuf::new();
    let get = || assert!(storage.get(b"key", &mut value).expect("reads"));
    assert_eq!(allocations(get), 0, "get");

    let mut batch = WriteBatch::new();
    let write = || {
        batch.clear();
        (0..100).for_each(|_| batch.put(b"key", &[7; 100]));
        storage.write(&batch, Durability::Buffered).expect("writes");
    };
    assert_eq!(allocations(write), 0, "write");

    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).expect("cursor");
    let mut page = Page::new();
    let next_page = || {
        page.clear();
        assert_eq!(cursor.next_page(&mut page).expect("reads"), PageEnd::More);
    };
    assert_eq!(allocations(next_page), 0, "next_page");
}
