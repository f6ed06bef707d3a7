use supervm_plugin_sdk::prelude::*;

pub struct Mine;

export_plugin!(host_pack: Mine, name: "mine");

fn main() {}
