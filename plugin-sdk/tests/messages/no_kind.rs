use supervm_plugin_sdk::prelude::*;

pub struct Mine;

impl HostPack for Mine {
    const MODULE: &'static str = "mine_api";
    const DETERMINISTIC: bool = true;
    fn functions() -> &'static [HostFunction] {
        &[]
    }
}

export_plugin!(Mine);

fn main() {}
