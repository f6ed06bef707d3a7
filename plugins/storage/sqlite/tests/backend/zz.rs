use crate::*;
use std::time::Instant;
#[test]
fn zz_measure() {
    for megabytes in [16u32, 128, 512] {
        let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let storage = open(dir.path());
        put(&*storage, b"a", b"").unwrap();
        let _held = storage.snapshot().unwrap();
        for n in 0..megabytes { put(&*storage, &n.to_be_bytes(), &vec![7; 1 << 20]).unwrap(); }
        kill_into(dir.path(), killed.path());
        let wal = stat(&*storage, "wal_bytes");
        let t = Instant::now();
        let reader = open_with(killed.path(), "", OpenMode::ReadOnly).unwrap();
        let opened = t.elapsed();
        let s = reader.snapshot().unwrap();
        println!("MEASURE log {} MiB open {:?} first snapshot {:?}", wal >> 20, opened, t.elapsed() - opened);
        drop((s, reader));
        let t = Instant::now();
        drop(open(killed.path()));
        println!("MEASURE writer open and close {:?}", t.elapsed());
    }
}
