//! The one line that ends a plugin's source.

use crate::StorageFactory;
use crate::abi::root::{Exportable, HostPackRoot, PluginRootRef, StorageRoot};
use crate::descriptor::is_plugin_name;
use crate::host::HostPack;

/// Makes a crate a SuperVM plugin: registers it when it is linked in and exports it when it is built as a shared library.
///
/// `export_plugin!(storage: MyStorage, name: "my-backend");` for a type that implements
/// [`StorageFactory`](crate::StorageFactory), `export_plugin!(host_pack: MyPack, name: "my-pack");` for one that implements
/// [`HostPack`](crate::host::HostPack). The name is the one that a configuration uses: `[a-z][a-z0-9-]*`. Version, description
/// and licence come from the crate's `Cargo.toml`. Once per crate, at its root; the crate's type is `["rlib", "cdylib"]`.
///
/// The exported symbol carries the crate's name, so that several plugins can be linked into one program.
#[macro_export]
macro_rules! export_plugin {
    (storage: $backend:ty, name: $name:literal $(,)?) => {
        $crate::export_plugin!(
            @export $name,
            $crate::__private::storage_root::<__ThePluginOfThisCrate, $backend>()
        );
    };
    (host_pack: $pack:ty, name: $name:literal $(,)?) => {
        $crate::export_plugin!(
            @export $name,
            $crate::__private::host_pack_root::<__ThePluginOfThisCrate, $pack>()
        );
    };
    (@export $name:literal, $root:expr) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub struct __ThePluginOfThisCrate;

        impl $crate::__private::Exportable for __ThePluginOfThisCrate {
            const IDENTITY: $crate::__private::Identity = $crate::__private::Identity {
                name: $name,
                version: env!("CARGO_PKG_VERSION"),
                description: env!("CARGO_PKG_DESCRIPTION"),
                license: env!("CARGO_PKG_LICENSE"),
                // Here and not in the SDK: the strategy of what is linked last decides.
                panic_unwinds: cfg!(panic = "unwind"),
            };

            fn root() -> $crate::__private::PluginRootRef {
                $root
            }
        }

        const _: () = {
            $crate::__private::assert_plugin_name($name);

            #[unsafe(export_name = concat!("supervm_plugin_", env!("CARGO_CRATE_NAME")))]
            static HEADER: $crate::__private::Header =
                $crate::__private::header::<__ThePluginOfThisCrate>();

            $crate::__private::inventory::submit! {
                $crate::__private::Linked {
                    crate_name: env!("CARGO_CRATE_NAME"),
                    root: <__ThePluginOfThisCrate as $crate::__private::Exportable>::root,
                }
            }
        };
    };
    // What follows explains what is wrong; an arm above takes whatever is right.
    ($kind:ident: $plugin:ty $(,)?) => {
        ::core::compile_error!(concat!(
            "the plugin has no name; write `export_plugin!(",
            stringify!($kind),
            ": ",
            stringify!($plugin),
            ", name: \"my-plugin\");`"
        ));
    };
    (storage: $plugin:ty, name: $($name:tt)*) => {
        $crate::export_plugin!(@no_name $($name)*);
    };
    (host_pack: $plugin:ty, name: $($name:tt)*) => {
        $crate::export_plugin!(@no_name $($name)*);
    };
    (@no_name $($name:tt)*) => {
        ::core::compile_error!(concat!(
            "`",
            stringify!($($name)*),
            "` is no name; a plugin's name is a literal, such as `name: \"my-plugin\"`"
        ));
    };
    ($kind:ident: $plugin:ty, name: $name:literal $(,)?) => {
        ::core::compile_error!(concat!(
            "there is no kind of plugin `",
            stringify!($kind),
            "`; write `storage` for a storage backend, `host_pack` for a host pack"
        ));
    };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "this is no plugin; write `export_plugin!(storage: MyStorage, name: \"my-backend\");` or \
             `export_plugin!(host_pack: MyPack, name: \"my-pack\");`"
        );
    };
}

/// The root of a storage plugin; a function, so that a type that is none is refused where the macro stands.
pub fn storage_root<P: Exportable, B: StorageFactory>() -> PluginRootRef {
    StorageRoot::<P, B>::root()
}

/// The root of a host pack.
pub fn host_pack_root<P: Exportable, H: HostPack>() -> PluginRootRef {
    HostPackRoot::<P, H>::root()
}

/// Ends the compilation for what no configuration could name.
pub const fn assert_plugin_name(name: &str) {
    assert!(
        is_plugin_name(name),
        "invalid plugin name: a name is a-z, 0-9 and -, begins with a letter, at most 64 bytes"
    );
}
