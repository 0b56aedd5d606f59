//! What a mapping may use: functions, methods, and how imported files are read.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spec::Spec;

/// Reads a file that a mapping imports; the error is the text of what went wrong.
pub type Loader = Arc<dyn Fn(&Path) -> Result<String, String> + Send + Sync>;

/// Functions, methods and files that mappings may use. Cloning shares the tables.
#[derive(Clone)]
pub struct Environment {
    tables: Arc<Tables>,
    loader: Loader,
    folder: PathBuf,
}

#[derive(Debug)]
struct Tables {
    functions: HashMap<&'static str, &'static Spec>,
    methods: HashMap<&'static str, &'static Spec>,
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Environment {
    /// Everything the language has; imports read the file system, relative to the working folder.
    pub fn new() -> Self {
        let table = |families: &[&'static [&'static [Spec]]]| {
            families
                .iter()
                .flat_map(|family| family.iter())
                .flat_map(|specs| specs.iter())
                .map(|spec| (spec.name, spec))
                .collect()
        };
        let tables = Tables {
            functions: table(&[crate::eval::FUNCTIONS, crate::functions::FUNCTIONS]),
            methods: table(&[crate::eval::METHODS, crate::methods::METHODS]),
        };
        Self { tables: Arc::new(tables), loader: Arc::new(read_file), folder: PathBuf::new() }
    }

    /// With imports read by this, and relative to this folder.
    #[must_use]
    pub fn with_loader(mut self, loader: Loader, folder: impl Into<PathBuf>) -> Self {
        self.loader = loader;
        self.folder = folder.into();
        self
    }

    /// Without what looks at a message or at anything outside it.
    #[must_use]
    pub fn pure(&self) -> Self {
        self.only(|spec| !spec.traits.impure && !spec.traits.message)
    }

    /// Without the functions and methods of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        self.only(|spec| !names.contains(&spec.name))
    }

    fn only(&self, keep: impl Fn(&Spec) -> bool) -> Self {
        let kept = |table: &HashMap<&'static str, &'static Spec>| {
            table.iter().filter(|(_, spec)| keep(spec)).map(|(name, spec)| (*name, *spec)).collect()
        };
        let tables = Tables { functions: kept(&self.tables.functions), methods: kept(&self.tables.methods) };
        Self { tables: Arc::new(tables), ..self.clone() }
    }

    /// All functions, in no order.
    pub fn functions(&self) -> impl Iterator<Item = &'static Spec> + '_ {
        self.tables.functions.values().copied()
    }

    /// All methods, in no order.
    pub fn methods(&self) -> impl Iterator<Item = &'static Spec> + '_ {
        self.tables.methods.values().copied()
    }

    pub(crate) fn function(&self, name: &str) -> Option<&'static Spec> {
        self.tables.functions.get(name).copied()
    }

    pub(crate) fn method(&self, name: &str) -> Option<&'static Spec> {
        self.tables.methods.get(name).copied()
    }

    pub(crate) fn read(&self, path: &Path) -> Result<String, String> {
        (self.loader)(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let fail = |error: std::io::Error| {
        let cause = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::IsADirectory => return format!("read {}: is a directory", path.display()),
            _ => error.to_string(),
        };
        format!("open {}: {cause}", path.display())
    };
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(fail)
}
