use supervm_plugin_sdk::prelude::*;

pub struct Mine;

export_plugin!(storage: Mine, name: "mine");

fn main() {}
