//! Whether each setting is in its range.

use super::sections::Settings;
use super::tree::KeyPath;
use crate::base::error::ConfigError;
use crate::base::redact::Redactor;
use crate::dead_letter::DeadLetterSettings;

/// What a message calls the value of a required setting that is not there.
pub(super) const LEFT_OUT: &str = "left out";

/// The first setting of each section that is out of its range. Names of settings begin below the path.
pub(super) fn check(settings: &Settings) -> Vec<(KeyPath, ConfigError)> {
    let mut found = Found(Vec::new());
    let top = |section: &str| KeyPath::of(section);
    found.add(top("telemetry"), settings.telemetry.check());
    found.add(top("telemetry.redaction"), Redactor::from_settings(&settings.telemetry.redaction).map(drop));
    if let Some(sampler) = &settings.sampler {
        found.add(KeyPath::default(), sampler.validate());
    }
    found.add(KeyPath::default(), settings.health.validate());
    found.add(KeyPath::default(), settings.healing.validate());
    found.add(top("logging"), settings.logging.check());
    found.add(top("shutdown"), settings.shutdown.validate());
    found.letters(&top("letters.queue"), &settings.letters.queue);
    for (name, server) in &settings.server {
        found.add(top("server").key(name), server.check());
    }
    for (name, dependency) in &settings.dependency {
        let path = top("dependency").key(name);
        found.add(path.clone(), dependency.check_own());
        if let Some(breaker) = &dependency.breaker {
            found.add(path.key("breaker"), breaker.validate(name));
        }
        if let Some(retry) = &dependency.retry {
            found.add(path.key("retry"), retry.validate(name));
        }
        if let Some(letters) = &dependency.letters {
            found.letters(&path.key("letters"), letters);
        }
        if let Some(check) = &dependency.check {
            found.add(path.key("check"), check.check());
        }
        found.add(path, dependency.healing.validate());
    }
    for (name, worker) in &settings.worker {
        let path = top("worker").key(name);
        found.add(path.key("limits"), worker.limits.check());
        if let Some(retry) = &worker.retry {
            found.add(path.key("retry"), retry.validate(name));
        }
        if let Some(letters) = &worker.letters {
            found.letters(&path.key("letters"), letters);
        }
    }
    for (name, database) in &settings.database {
        found.add(top("database").key(name), database.check());
    }
    for (name, endpoint) in &settings.endpoint {
        let path = top("endpoint").key(name);
        if endpoint.address.is_none() {
            let reason = "an endpoint needs an address, such as \"http://search:9200/\"";
            found.add(path.clone(), Err(ConfigError::because("address", LEFT_OUT, reason)));
        }
        found.add(path, endpoint.check());
    }
    found.0
}

struct Found(Vec<(KeyPath, ConfigError)>);

impl Found {
    fn add(&mut self, path: KeyPath, result: Result<(), ConfigError>) {
        if let Err(error) = result {
            self.0.push((path, error));
        }
    }

    fn letters(&mut self, path: &KeyPath, letters: &DeadLetterSettings) {
        self.add(path.clone(), letters.validate(path.last_key()));
        self.add(path.key("redaction"), Redactor::from_settings(&letters.redaction).map(drop));
        #[cfg(feature = "redis")]
        if let crate::dead_letter::StoreSettings::Redis(redis) = &letters.store {
            self.add(path.key("store"), redis.validate());
        }
    }
}
