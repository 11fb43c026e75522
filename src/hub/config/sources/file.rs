//! The layer of the file.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{json, toml};
use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{Node, Source};

/// The maximum size of a file in bytes.
const MOST: u64 = 1024 * 1024;

/// A file that was read.
pub(in crate::hub::config) struct File {
    pub(in crate::hub::config) tree: Node,
    /// The permissions, if others than the owner and its group may read it.
    pub(in crate::hub::config) open_to_others: Option<u32>,
}

/// Reads and parses a file in TOML or JSON.
pub(in crate::hub::config) fn read(path: &Path) -> Result<File, Vec<ConfigFault>> {
    let name = path.display().to_string();
    let fault = |message: String| vec![ConfigFault::of_file(&name, message)];
    let parse = match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => toml::parse,
        Some("json") => json::parse,
        _ => return Err(fault("the name of the file must end in .toml or .json".to_owned())),
    };
    let (bytes, open_to_others) = bytes(path).map_err(fault)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            let source = Source::File { name: name.as_str().into(), line };
            return Err(vec![ConfigFault::of_source(&source, "the file is not valid UTF-8")]);
        }
    };
    Ok(File { tree: parse(text, &name)?, open_to_others })
}

fn bytes(path: &Path) -> Result<(Vec<u8>, Option<u32>), String> {
    let cannot = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "the file does not exist".to_owned(),
        ErrorKind::PermissionDenied => "the file may not be read by this user".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let metadata = fs::metadata(path).map_err(cannot)?;
    if metadata.is_dir() {
        return Err("this is a directory; name a file in it".to_owned());
    }
    // A pipe could hang.
    if !metadata.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MOST {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    Ok((bytes, open_to_others(&metadata)))
}

#[cfg(unix)]
fn open_to_others(metadata: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_: &fs::Metadata) -> Option<u32> {
    None
}
