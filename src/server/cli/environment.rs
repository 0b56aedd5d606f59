//! The environment variables that configs see: those of the process, overwritten by files (`-e`).

use super::walk::unreadable;
use crate::{resource_files, secrets::note_variable};
use std::{collections::BTreeMap, fs};

/// Finds a variable's value.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of files over those of the process.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    files: BTreeMap<String, String>,
}

impl Variables {
    /// Reads files of variables; later ones win. The error is what to print.
    pub(super) fn read(paths: &[String]) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for path in resource_files::paths(paths) {
            let bytes = fs::read(&path).map_err(|error| {
                format!("failed to read dotenv file: {}", unreadable(&path.to_string_lossy(), &error))
            })?;
            let variables = weir_config::dotenv::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|error| format!("failed to parse dotenv file: {error}"))?;
            files.extend(variables);
        }
        let variables = Self { files };
        variables.publish();
        Ok(variables)
    }

    /// These with others over them.
    pub(super) fn with(&self, others: &BTreeMap<String, String>) -> Self {
        let mut files = self.files.clone();
        files.extend(others.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self { files }
    }

    /// Makes them what mappings see.
    pub(super) fn publish(&self) {
        weir_bloblang::set_variables(self.files.clone());
    }

    /// A variable's value, for a config.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let own = || std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let value = self.files.get(name).cloned().or_else(own);
        if let Some(value) = &value {
            note_variable(value);
        }
        value
    }
}
