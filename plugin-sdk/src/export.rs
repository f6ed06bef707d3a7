//! The one line that ends a plugin's source.

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
        $crate::export_plugin!(@export $name, $crate::__private::StorageRoot<__SupervmPlugin, $backend>);
    };
    (host_pack: $pack:ty, name: $name:literal $(,)?) => {
        $crate::export_plugin!(@export $name, $crate::__private::HostPackRoot<__SupervmPlugin, $pack>);
    };
    (@export $name:literal, $root:ty) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub struct __SupervmPlugin;

        impl $crate::__private::Exportable for __SupervmPlugin {
            const IDENTITY: $crate::__private::Identity = $crate::__private::Identity {
                name: $name,
                version: env!("CARGO_PKG_VERSION"),
                description: env!("CARGO_PKG_DESCRIPTION"),
                license: env!("CARGO_PKG_LICENSE"),
                // Here and not in the SDK: the strategy of what is linked last decides.
                panic_unwinds: cfg!(panic = "unwind"),
            };

            fn root() -> $crate::__private::PluginRootRef {
                <$root>::root()
            }
        }

        const _: () = {
            #[unsafe(export_name = concat!("supervm_plugin_", env!("CARGO_CRATE_NAME")))]
            static HEADER: $crate::__private::Header = $crate::__private::header::<__SupervmPlugin>();

            $crate::__private::inventory::submit! {
                $crate::__private::Linked {
                    crate_name: env!("CARGO_CRATE_NAME"),
                    root: <__SupervmPlugin as $crate::__private::Exportable>::root,
                }
            }
        };
    };
}
