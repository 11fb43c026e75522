use memchr::memmem;
use serde_json::Value;

use super::super::text::one_line;
use super::settings::HttpCheckSettings;
use super::status_ranges::StatusRanges;

/// The requirements for a response.
#[derive(Debug)]
pub(super) struct Expectation {
    statuses: StatusRanges,
    contains: Option<String>,
    json: Vec<(String, Value)>,
}

impl Expectation {
    pub(super) fn new(settings: &HttpCheckSettings) -> Self {
        Self {
            statuses: StatusRanges::new(&settings.statuses),
            contains: settings.contains.clone(),
            json: settings.json.iter().map(|(pointer, value)| (pointer.clone(), value.clone())).collect(),
        }
    }

    pub(super) fn verify_status(&self, status: u16) -> Result<(), String> {
        if self.statuses.contains(status) {
            return Ok(());
        }
        let hint = if (300..400).contains(&status) { " (redirects are not followed)" } else { "" };
        Err(format!("status {status} instead of {}{hint}", self.statuses))
    }

    /// Verifies the body of a response whose status is as expected.
    pub(super) fn verify_body(&self, status: u16, body: &[u8]) -> Result<(), String> {
        if let Some(text) = &self.contains
            && memmem::find(body, text.as_bytes()).is_none()
        {
            return Err(format!(
                "status {status}, but its body of {} bytes does not contain {text:?}",
                body.len()
            ));
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let document: Value = serde_json::from_slice(body)
            .map_err(|error| format!("status {status}, but its body is not JSON: {error}"))?;
        for (pointer, expected) in &self.json {
            match document.pointer(pointer) {
                Some(value) if value == expected => {}
                Some(value) => {
                    let value = one_line(&value.to_string());
                    return Err(format!("`{pointer}` is {value} instead of {expected}"));
                }
                None => return Err(format!("`{pointer}` is missing; expected {expected}")),
            }
        }
        Ok(())
    }
}
