//! A backend that fails as its options say, behind the guard that every backend gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, RwLock};
use supervm_plugin_sdk::prelude::*;

type Map = BTreeMap<String, String>;

/// What goes wrong in the backend.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Failure {
    #[default]
    None,
    WriteUnknown,
    WriteNotApplied,
    WritePanics,
    FlushFails,
    FlushFindsNoSpace,
    CursorBreaksOnce,
    CheckpointFails,
    CheckpointIsOvertaken,
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScriptedConfig {
    failure: Failure,
}

/// A map in memory, read from `content` at open; a checkpoint writes that file.
pub(crate) struct Scripted {
    failure: Failure,
    map: RwLock<Arc<Map>>,
}

impl StorageFactory for Scripted {
    type Config = ScriptedConfig;

    fn declared_capabilities() -> Capabilities {
        use Capability::{Checkpoint, ReadOnlyOpen, Snapshot, SyncedWrites};
        Capabilities::new().native(&[Checkpoint, ReadOnlyOpen, Snapshot, SyncedWrites])
    }

    fn open(dir: &Path, config: ScriptedConfig, mode: OpenMode) -> Result<Self> {
        let map = match fs::read_to_string(dir.join("content")) {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) if mode == OpenMode::Create => Map::new(),
            Err(error) => return Err(Error::io("open", error)),
        };
        Ok(Self { failure: config.failure, map: RwLock::new(Arc::new(map)) })
    }
}

impl Scripted {
    fn view(&self) -> View {
        View { map: self.map.read().unwrap().clone(), failure: self.failure }
    }
}

impl StorageBackend for Scripted {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.view().get(key, value)
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let failed =
            |effect| Error::new(ErrorKind::Io, "write", "the disk is gone").with_effect(effect);
        match self.failure {
            Failure::WriteUnknown => return Err(failed(Effect::Unknown)),
            Failure::WriteNotApplied => return Err(failed(Effect::NotApplied)),
            Failure::WritePanics => panic!("panicked in write"),
            _ => {}
        }
        let mut map = self.map.write().unwrap();
        for operation in batch.iter() {
            let Operation::Put { key, value } = operation else { panic!("only puts are tested") };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            Arc::make_mut(&mut map).insert(text(key), text(value));
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(self.view()))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        self.view().cursor(range, direction)
    }

    fn flush(&self, _: Durability) -> Result<()> {
        match self.failure {
            Failure::FlushFails => Err(Error::new(ErrorKind::Io, "flush", "the sync failed")),
            Failure::FlushFindsNoSpace => Err(Error::new(ErrorKind::NoSpace, "flush", "disk full")),
            _ => Ok(()),
        }
    }

    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).map_err(|error| Error::io("checkpoint", error))?;
        fs::write(dir.join("content"), serde_json::to_string(&*self.view().map).unwrap()).unwrap();
        match self.failure {
            Failure::CheckpointFails => Err(Error::new(ErrorKind::Io, "checkpoint", "cut off")),
            Failure::CheckpointIsOvertaken => {
                fs::create_dir(dir.ancestors().nth(2).unwrap().join("copy-of-it")).unwrap();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn compact(&self, _: KeyRange<'_>) -> Result<()> {
        panic!("undeclared, so never called");
    }

    fn verify(&self) -> Result<VerifyReport> {
        panic!("undeclared, so never called");
    }

    fn size_on_disk(&self, _: KeyRange<'_>) -> Result<u64> {
        panic!("undeclared, so never called");
    }
}

struct View {
    map: Arc<Map>,
    failure: Failure,
}

impl StorageSnapshot for View {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let found = self.map.get(str::from_utf8(key).unwrap());
        Ok(found.inspect(|found| value.set(found.as_bytes())).is_some())
    }

    fn cursor(&self, _: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        assert_eq!(direction, Direction::Forward, "undeclared, so never called");
        Ok(Box::new(ScriptedCursor { breaks: self.failure == Failure::CursorBreaksOnce }))
    }
}

struct ScriptedCursor {
    breaks: bool,
}

impl Cursor for ScriptedCursor {
    fn next_page(&mut self, _: &mut Page) -> Result<PageEnd> {
        if std::mem::take(&mut self.breaks) {
            return Err(
                Error::new(ErrorKind::Io, "next_page", "sector 9 is unreadable").with("sector", 9)
            );
        }
        Ok(PageEnd::End)
    }

    fn seek(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
