use std::path::Path;
use supervm_plugin_sdk::prelude::*;

#[derive(Default, Serialize, JsonSchema)]
pub struct Config {
    entries_max: u64,
}

pub struct Mine;

impl StorageFactory for Mine {
    type Config = Config;
    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
    }
    fn open(_: &Path, _: Config, _: OpenMode) -> Result<Self> {
        Ok(Self)
    }
}

impl StorageBackend for Mine {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }
    fn get(&self, _: &[u8], _: &mut ByteBuf) -> Result<bool> {
        Ok(false)
    }
    fn write(&self, _: &WriteBatch, _: Durability) -> Result<()> {
        Ok(())
    }
    fn cursor(&self, _: KeyRange<'_>, _: Direction) -> Result<Box<dyn Cursor>> {
        Err(Error::new(ErrorKind::Unsupported, "cursor", "not here"))
    }
    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }
    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }
}

export_plugin!(storage: Mine, name: "mine");

fn main() {}
