//! A host with two plugins of one name linked in, which `linked` refuses.

use hostile as _;
use std::process::ExitCode;
use supervm_plugin_sdk::prelude::*;

struct Pack;

impl HostPack for Pack {
    const MODULE: &'static str = "test_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &[]
    }
}

export_plugin!(host_pack: Pack, name: "well-behaved");

fn main() -> ExitCode {
    match supervm_plugin_sdk::load::linked() {
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("{:?} {error}", error.kind());
            ExitCode::SUCCESS
        }
    }
}
