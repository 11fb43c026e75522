use memchr::memmem;
use serde_json::Value;

use super::super::words::short;
use super::{HttpCheckSettings, Statuses};

/// What a good answer is.
#[derive(Debug)]
pub(super) struct Judge {
    statuses: Statuses,
    contains: Option<String>,
    json: Vec<(String, Value)>,
}

impl Judge {
    pub(super) fn of(settings: &HttpCheckSettings) -> Self {
        Self {
            statuses: settings.statuses.clone(),
            contains: settings.contains.clone(),
            json: settings.json.iter().map(|(pointer, value)| (pointer.clone(), value.clone())).collect(),
        }
    }

    pub(super) fn of_status(&self, status: u16) -> Result<(), String> {
        if self.statuses.contains(status) {
            return Ok(());
        }
        let hint = if (300..400).contains(&status) { ", and redirects are not followed" } else { "" };
        Err(format!("status {status} instead of {}{hint}", self.statuses))
    }

    pub(super) fn of_answer(&self, status: u16, body: &[u8]) -> Result<(), String> {
        self.of_status(status)?;
        if let Some(text) = &self.contains
            && memmem::find(body, text.as_bytes()).is_none()
        {
            return Err(format!("status {status}, and no {text:?} in the {} bytes of its body", body.len()));
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let found: Value = serde_json::from_slice(body)
            .map_err(|error| format!("status {status}, and a body that is not JSON: {error}"))?;
        for (pointer, wanted) in &self.json {
            match found.pointer(pointer) {
                Some(value) if value == wanted => {}
                Some(value) => {
                    return Err(format!("`{pointer}` is {} instead of {wanted}", short(&value.to_string())));
                }
                None => return Err(format!("`{pointer}` is not there; it should be {wanted}")),
            }
        }
        Ok(())
    }
}
