//! The environment of the process: variables and files.

use std::fs::File;
use std::io::Read;

use opentelemetry::KeyValue;

use crate::telemetry::variables::Variables;

/// Variables and files. Tests pass their own.
pub(super) struct Environment<'a> {
    variable: Box<Find<'a>>,
    file: Box<Find<'a>>,
}

type Find<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Maximum number of bytes that are read of a file.
const MAX_FILE: u64 = 256 * 1024;

impl<'a> Environment<'a> {
    pub(super) fn of_this_process(variables: &'a Variables) -> Self {
        Self { variable: Box::new(|name| variables.get(name)), file: Box::new(file) }
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// The value of the first of `names` that is set.
    pub(super) fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// The text of a file without white space around it. `None` if there is no file or no text.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        (self.file)(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    #[cfg(test)]
    pub(super) fn for_test(variables: &'a [(&str, &str)], files: &'a [(&str, &str)]) -> Self {
        let find = |all: &'a [(&str, &str)]| {
            move |wanted: &str| {
                all.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
            }
        };
        Self { variable: Box::new(find(variables)), file: Box::new(find(files)) }
    }
}

/// The text of a regular file. Reading a pipe could block, and a device could have no end.
fn file(path: &str) -> Option<String> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The attributes that have a value.
pub(super) fn present<const N: usize>(
    attributes: [(&'static str, Option<String>); N],
) -> impl Iterator<Item = KeyValue> {
    attributes.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?)))
}
