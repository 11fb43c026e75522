//! The configuration through its public API.
#![cfg(feature = "hub")]

#[path = "../support/source.rs"]
mod source;
#[path = "../support/tree/mod.rs"]
mod tree;

mod explanations;
mod files;
mod hostile;
mod layers;
mod mistakes;
mod page;
mod program;
mod reload;
mod secrets;
mod template;
mod variables;

use std::path::PathBuf;

use campanile::hub::config::{Config, ConfigErrors, ConfigLoader};

/// A folder with one configuration file.
struct Folder {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Folder {
    fn with(name: &'static str, text: impl AsRef<[u8]>) -> Self {
        let folder = Self { folder: tempfile::tempdir().expect("a folder"), name };
        folder.write(text);
        folder
    }

    fn toml(text: &str) -> Self {
        Self::with("campanile.toml", text)
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(), text).expect("the file is written");
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// A loader of the file, without variables.
    fn loader(&self) -> ConfigLoader {
        Config::loader("checkout").file(self.path()).environment([])
    }

    /// The faults, with the bare name of the file.
    fn faults(&self, errors: &ConfigErrors) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        errors.faults().iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }
}
