//! Reads the layers and merges them.

use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{ConfigErrors, ConfigFault};
use super::mask::Mask;
use super::nearest;
use super::printable::Printable;
use super::sections::Settings;
use super::shape;
use super::sources::{self, Preset, Variables};
use super::state::State;
use super::tree::{KeyPath, Node, Source, Value, merge};
use super::typed;

/// Where settings are from.
#[derive(Clone)]
pub(super) struct Layers {
    pub(super) service: String,
    pub(super) preset: Option<Preset>,
    pub(super) file: Option<PathBuf>,
    /// Those of the process, unless others are given.
    pub(super) variables: Option<Variables>,
    pub(super) arguments: Vec<String>,
}

impl Layers {
    /// Reads all layers.
    pub(super) fn load(&self) -> Result<State, ConfigErrors> {
        let variables = self.variables.clone().unwrap_or_else(Variables::of_process);
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let service = Value::String(self.service.clone());
        let mut tree = Node::nested("telemetry.service_name".split('.'), service, &Source::Default);
        if let Some(preset) = self.chosen_preset(&variables, &mut faults) {
            merge(&mut tree, preset.tree());
        }
        let mut open_to_others = None;
        let file = self.chosen_file(&variables, &mut faults);
        let mut broken = false;
        match file.as_deref().map(sources::read) {
            Some(Ok(file)) => {
                merge(&mut tree, file.tree);
                open_to_others = file.open_to_others;
            }
            Some(Err(of_file)) => {
                faults.extend(of_file);
                broken = true;
            }
            None => {}
        }
        let mut environment = sources::environment(&variables, &sections(), &mut faults, &mut warnings);
        sources::unaddressable(&tree, &mut environment, &mut faults);
        merge(&mut tree, environment);
        merge(&mut tree, sources::arguments(&self.arguments, &mut faults));
        if broken {
            // What the rest lacks may be in the file.
            ConfigErrors::check(std::mem::take(&mut faults))?;
        }
        shape::refuse(&mut tree, &mut faults);
        sources::resolve(&mut tree, &KeyPath::default(), &variables, &mut faults);
        if let Some(mode) = open_to_others {
            warnings.extend(plain_secrets(&tree, mode));
        }
        shape::inherit(&mut tree);
        let settings = typed::settings(tree.clone(), &mut faults);
        ConfigErrors::check(faults)?;
        let warnings = warnings.iter().map(|warning| Printable(warning).to_string()).collect();
        Ok(State { tree, settings: Arc::new(settings), warnings })
    }

    fn chosen_preset(&self, variables: &Variables, faults: &mut Vec<ConfigFault>) -> Option<Preset> {
        let source = Source::Variable("CAMPANILE_PRESET".into());
        match variables.get("CAMPANILE_PRESET") {
            None => self.preset,
            Some(Err(why)) => {
                faults.push(ConfigFault::of_source(&source, why));
                None
            }
            Some(Ok(name)) => {
                let found = Preset::ALL.into_iter().find(|preset| preset.name() == name);
                if found.is_none() {
                    let names = Preset::ALL.map(Preset::name);
                    let hint = nearest::hint(name, &names);
                    faults.push(ConfigFault::of_source(&source, format!("cannot be {name:?}; {hint}")));
                }
                found
            }
        }
    }

    fn chosen_file(&self, variables: &Variables, faults: &mut Vec<ConfigFault>) -> Option<PathBuf> {
        match variables.get("CAMPANILE_CONFIG") {
            None => self.file.clone(),
            Some(Ok(path)) => Some(path.into()),
            Some(Err(why)) => {
                faults.push(ConfigFault::of_source(&Source::Variable("CAMPANILE_CONFIG".into()), why));
                None
            }
        }
    }
}

/// The names of the sections.
fn sections() -> Vec<String> {
    match serde_json::to_value(Settings::default()) {
        Ok(serde_json::Value::Object(sections)) => sections.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Warnings about secrets in a file that others can read.
fn plain_secrets(tree: &Node, mode: u32) -> Vec<String> {
    let mask = Mask::new(tree);
    let mut warnings = Vec::new();
    tree.leaves(&KeyPath::default(), &mut |path, node| {
        if matches!(node.source, Source::File { .. }) && mask.is_plain_secret(path, node) {
            warnings.push(format!(
                "{}: `{path}` is a secret, and others can read the file (mode {mode:o}); change the mode to 600, or write \
                 {{ file = \"…\" }} or {{ env = \"…\" }} instead of the secret",
                node.source,
            ));
        }
    });
    warnings
}
