//! What may be typed after `supervm plugin`.

use crate::cli::arguments::ProfileArguments;
use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use supervm_conformance::Profile;
use supervm_plugin_sdk::PluginKind;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm plugin list
  supervm plugin new my-backend
  supervm plugin check my-backend/target/release/libmy_backend.so
  supervm plugin inspect target/release/libsupervm_storage_lmdb.so")]
pub(crate) struct PluginArguments {
    #[command(subcommand)]
    pub(crate) action: PluginAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginAction {
    /// List the plugins that are linked in or found, with what is wrong with them
    #[command(
        after_help = "Examples:\n  supervm plugin list\n  supervm plugin list --config node.toml --json"
    )]
    List {
        #[command(flatten)]
        profile: ProfileArguments,
    },
    /// Write the crate of a new plugin, which compiles and passes the checks
    New(NewArguments),
    /// Prove that a library is a sound plugin: the loader's steps, then its rules, in processes of their own
    Check(CheckArguments),
    /// Check a shared library step by step, in a process of its own, and show what it says of itself
    #[command(after_help = "\
Examples:
  supervm plugin inspect target/release/libsupervm_storage_lmdb.so
  supervm plugin inspect --manifest libsupervm_storage_redb.so

With --manifest, a sound library gets a manifest beside it (lib*.toml): `plugin list` then reads it instead of loading the library.")]
    Inspect {
        /// The shared library
        path: PathBuf,
        /// Write the manifest beside the library
        #[arg(long)]
        manifest: bool,
    },
    /// Load the library in this process and answer the parent
    #[command(hide = true)]
    Probe {
        /// What the parent appends
        #[arg(trailing_var_arg = true)]
        arguments: Vec<OsString>,
    },
    /// Call the functions of a host pack in this process and answer the parent
    #[command(hide = true)]
    ProbePack {
        /// The shared library
        path: PathBuf,
        /// Decides random arguments; without it the functions are only listed
        #[arg(long)]
        seed: Option<u64>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm plugin new my-backend
  supervm plugin new my-backend --sdk-path ~/supervm
  supervm plugin new my-pack --kind host-pack --license apache-2.0
  supervm plugin new my-backend --path plugins/my-backend --json

The crate depends on supervm-plugin-sdk and supervm-conformance by version. With --sdk-path, or the
variable SUPERVM_SDK_PATH, it depends on the ones in that checkout of SuperVM by path.")]
pub(crate) struct NewArguments {
    /// The plugin's name, and the crate's: a-z, 0-9 and -, beginning with a letter
    pub(crate) name: String,
    /// What the plugin provides
    #[arg(long, value_enum, default_value = "storage")]
    pub(crate) kind: NewKind,
    /// Directory of the new crate [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// A checkout of SuperVM to build against
    #[arg(long, value_name = "DIR", env = "SUPERVM_SDK_PATH")]
    pub(crate) sdk_path: Option<PathBuf>,
    /// The crate's licence
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) license: License,
}

/// What a new plugin provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewKind {
    /// A storage backend
    Storage,
    /// Functions that contracts import
    HostPack,
}

impl NewKind {
    pub(crate) fn plugin_kind(self) -> PluginKind {
        match self {
            Self::Storage => PluginKind::Storage,
            Self::HostPack => PluginKind::HostPack,
        }
    }
}

/// The licence of a new plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum License {
    /// MIT OR Apache-2.0, at the user's choice
    Both,
    /// The MIT license
    Mit,
    /// The Apache License 2.0
    #[value(name = "apache-2.0")]
    Apache,
    /// No licence: nobody else may use it
    None,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm plugin check target/release/libmy_backend.so
  supervm plugin check libmy_backend.so --case scan. --case cursor.
  supervm plugin check libmy_backend.so --profile crash --report report.md --report junit.xml
  supervm plugin check libmy_pack.so --json

The report of a whole run is written beside the library (libmy_backend.conformance.json): with the
verdict \"passed\" it is the plugin's certificate. The options but --seed, --report and --json are
for storage backends.

Exit codes: 0 passed, 1 failed, 2 wrong arguments.")]
pub(crate) struct CheckArguments {
    /// The shared library
    pub(crate) path: PathBuf,
    /// How thorough
    #[arg(long, value_enum, default_value_t)]
    pub(crate) profile: Profile,
    /// Only cases whose id begins with this; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) case: Vec<String>,
    /// Decides all test data; a new one is chosen and printed when it is not given
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The backend's options, as a TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) options: Option<PathBuf>,
    /// Write the report to this file too: .json, .xml (JUnit) or .md; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
}
