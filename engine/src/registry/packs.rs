//! The host packs that contracts get.

use super::Registry;
use std::collections::BTreeMap;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Error, ErrorKind, PluginKind, Result};

impl Registry {
    /// The host packs: linked in, and named by the configuration. Sorted by module, then by name.
    ///
    /// # Behavior
    /// A library that merely lies in the search path is not among them: what contracts can call, and what it costs, has
    /// to be the same on every node.
    ///
    /// # Errors
    /// As [`storage`](Self::storage) for each named pack; `InvalidArgument` when two packs have the same function in the
    /// same module, naming both; `ConfigInvalid` for a pack that is not deterministic, unless the configuration allows
    /// it.
    pub fn host_packs(&self) -> Result<Vec<Plugin>> {
        let kind = PluginKind::HostPack;
        let linked = self.linked.iter().filter(|plugin| plugin.descriptor().kind == kind);
        let mut packs: Vec<_> = linked.cloned().collect();
        for entry in &self.config.packs {
            let pin = self.config.sha256.get(entry).map(String::as_str);
            let pack = self.plugin(kind, entry, pin)?;
            let is_linked_in = self.linked(entry).is_some();
            if !is_linked_in {
                packs.push(pack);
            }
        }
        if !self.config.allow_nondeterministic {
            packs.iter().try_for_each(check_deterministic)?;
        }
        check_collisions(&packs)?;
        packs.sort_by_key(|pack| (module(pack).to_owned(), pack.descriptor().name.clone()));
        Ok(packs)
    }
}

fn module(pack: &Plugin) -> &str {
    pack.descriptor().module.as_deref().unwrap_or_default()
}

fn check_deterministic(pack: &Plugin) -> Result<()> {
    let descriptor = pack.descriptor();
    if descriptor.deterministic {
        return Ok(());
    }
    let refused = format!(
        "host pack \"{}\" is not deterministic; remove it, or set plugins.allow_nondeterministic = true on a chain without consensus",
        descriptor.name
    );
    Err(Error::new(ErrorKind::ConfigInvalid, "find host packs", refused))
}

fn check_collisions(packs: &[Plugin]) -> Result<()> {
    let mut owners = BTreeMap::new();
    for pack in packs {
        for function in pack.host_functions()? {
            let key = (module(pack), function.name().to_owned());
            if let Some(other) = owners.insert(key, &pack.descriptor().name) {
                let refused = format!(
                    "host packs \"{other}\" and \"{}\" both have the function \"{}\" in the module \"{}\"; remove one of them",
                    pack.descriptor().name,
                    function.name(),
                    module(pack)
                );
                return Err(Error::new(ErrorKind::InvalidArgument, "find host packs", refused));
            }
        }
    }
    Ok(())
}
