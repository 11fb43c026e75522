//! The tree of modules of the package's own source, and what each name in it stands for.
//!
//! It is read from the root, such as `src/lib.rs`, along `mod x;`. Code that only tests see is left out. Features are taken to be on.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::TokenStream;
use syn::{Attribute, Item, Meta, Visibility};

use super::built::{attributes_of, is_built};
use super::expand;
use super::names::imports;

/// A module: its file, and the names that it declares and imports.
pub struct Module {
    /// Its names from the root of the crate, which is empty.
    pub path: Vec<String>,
    /// The file in `src` that it is written in, such as `store/mod.rs`.
    pub file: String,
    pub parent: Option<usize>,
    pub visibility: Visibility,
    pub attributes: Vec<Attribute>,
    /// With what the crate's own macros write.
    pub items: Vec<Item>,
    pub names: BTreeMap<String, Vec<Binding>>,
    pub globs: Vec<(Import, Visibility)>,
    /// Modules with `#[macro_use]`, which pass on their macros.
    shares_macros: bool,
    macros: BTreeMap<String, syn::ItemMacro>,
}

/// What a name in a module is.
pub struct Binding {
    pub visibility: Visibility,
    pub is: Is,
}

impl Binding {
    /// What it declares in its module.
    pub fn target(&self, module: usize) -> Option<Target> {
        match self.is {
            Is::Item(item) => Some(Target::Item(module, item)),
            Is::Module(child) => Some(Target::Module(child)),
            Is::Import(_) => None,
        }
    }
}

pub enum Is {
    /// The item at this place of the module's list.
    Item(usize),
    Module(usize),
    Import(Import),
}

/// A path as it stands in a `use`.
#[derive(Clone)]
pub struct Import {
    pub line: usize,
    /// From another crate, by `::`.
    pub outside: bool,
    pub path: Vec<String>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Module(usize),
    /// An item by its module and its place there.
    Item(usize, usize),
}

/// All modules; the first is the root.
pub struct Crate {
    pub modules: Vec<Module>,
    /// Where names are being looked up right now, so that a circle of imports ends.
    pub open: RefCell<BTreeSet<(usize, String)>>,
}

impl Crate {
    /// Reads the crate with this root, such as `lib.rs`, in a folder.
    pub fn read(folder: &Path, root: &str) -> Self {
        let mut all = Self { modules: Vec::new(), open: RefCell::default() };
        let file = read_file(folder, Path::new(root));
        let place = Place { file: root.into(), folder: PathBuf::new() };
        let public = syn::parse_str("pub").expect("a visibility");
        all.add(folder, &place, Vec::new(), None, (public, file.attrs, file.items));
        for at in 0..all.modules.len() {
            all.expand_items(at);
        }
        all
    }

    fn add(
        &mut self,
        root: &Path,
        place: &Place,
        path: Vec<String>,
        parent: Option<usize>,
        (visibility, attributes, items): (Visibility, Vec<Attribute>, Vec<Item>),
    ) -> usize {
        let own = self.modules.len();
        self.modules.push(Module {
            path: path.clone(),
            file: place.file.to_string_lossy().into_owned(),
            parent,
            visibility,
            shares_macros: attributes.iter().any(|attribute| attribute.path().is_ident("macro_use")),
            attributes,
            items: Vec::new(),
            names: BTreeMap::new(),
            globs: Vec::new(),
            macros: BTreeMap::new(),
        });
        for item in items.into_iter().filter(|item| is_built(attributes_of(item))) {
            let Item::Mod(module) = item else {
                self.modules[own].declare(item);
                continue;
            };
            let name = name_of(&module.ident);
            let mut path = path.clone();
            path.push(name.clone());
            let mut attributes = module.attrs;
            let (place, items) = match module.content {
                Some((_, items)) => (place.inline(&name), items),
                None => {
                    let place = place.child(root, &name);
                    let file = read_file(root, &place.file);
                    attributes.extend(file.attrs);
                    (place, file.items)
                }
            };
            let child = self.add(root, &place, path, Some(own), (module.vis.clone(), attributes, items));
            self.modules[own].bind(name, module.vis, Is::Module(child));
        }
        own
    }

    /// Puts what a macro of the crate writes in the place of its call.
    fn expand_items(&mut self, at: usize) {
        let mut place = 0;
        while place < self.modules[at].items.len() {
            let found = match &self.modules[at].items[place] {
                Item::Macro(call) if call.ident.is_none() => self.expand(at, &call.mac),
                _ => None,
            };
            for item in found.into_iter().flat_map(|written| written.items) {
                if is_built(attributes_of(&item)) {
                    self.modules[at].declare(item);
                }
            }
            place += 1;
        }
    }

    /// What a macro of the crate, or one of a few well-known ones, writes as items.
    fn expand(&self, at: usize, call: &syn::Macro) -> Option<syn::File> {
        let (tokens, file) = (self.written(at, call)?, &self.modules[at].file);
        Some(
            syn::parse2(tokens)
                .unwrap_or_else(|error| panic!("src/{file}: a macro writes no items: {error}")),
        )
    }

    /// What a macro of the crate, or one of a few well-known ones, writes.
    pub fn written(&self, at: usize, call: &syn::Macro) -> Option<TokenStream> {
        let name = name_of(&call.path.segments.last()?.ident);
        let Some((_, rules)) = self.find_macro(at, &call.path) else {
            return expand::declarations(&name, call.tokens.clone());
        };
        let written = expand::expand(&rules.mac.tokens, call.tokens.clone());
        Some(written.unwrap_or_else(|| panic!("src/{}: no arm of `{name}!` fits", self.modules[at].file)))
    }

    /// The macro of this crate that a call names, with the module that declares it.
    pub fn find_macro(&self, at: usize, path: &syn::Path) -> Option<(usize, &syn::ItemMacro)> {
        let names: Vec<_> = path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
        if let [name] = &names[..] {
            let mut up = Some(at);
            while let Some(module) = up {
                let found = self.macro_in(module, name);
                if found.is_some() {
                    return found;
                }
                up = self.modules[module].parent;
            }
        }
        self.resolve(at, &names).ok()?.into_iter().find_map(|target| match target {
            Target::Item(module, item) => match &self.modules[module].items[item] {
                Item::Macro(rules) => Some((module, rules)),
                _ => None,
            },
            Target::Module(_) => None,
        })
    }

    /// A macro that a module declares, or that a module in it with `#[macro_use]` passes on.
    fn macro_in(&self, module: usize, name: &str) -> Option<(usize, &syn::ItemMacro)> {
        if let Some(rules) = self.modules[module].macros.get(name) {
            return Some((module, rules));
        }
        let mut children = self.children(module).filter(|child| self.modules[*child].shares_macros);
        children.find_map(|child| self.macro_in(child, name))
    }

    pub fn children(&self, of: usize) -> impl Iterator<Item = usize> + '_ {
        let children = self.modules[of].names.values().flatten();
        children.filter_map(|binding| match binding.is {
            Is::Module(child) => Some(child),
            _ => None,
        })
    }
}

impl Module {
    fn declare(&mut self, item: Item) {
        let at = self.items.len();
        let public = || syn::parse_str("pub(crate)").expect("a visibility");
        let named = match &item {
            Item::Const(it) => Some((&it.ident, it.vis.clone())),
            Item::Enum(it) => Some((&it.ident, it.vis.clone())),
            Item::Fn(it) => Some((&it.sig.ident, it.vis.clone())),
            Item::Static(it) => Some((&it.ident, it.vis.clone())),
            Item::Struct(it) => Some((&it.ident, it.vis.clone())),
            Item::Trait(it) => Some((&it.ident, it.vis.clone())),
            Item::Type(it) => Some((&it.ident, it.vis.clone())),
            Item::Union(it) => Some((&it.ident, it.vis.clone())),
            Item::Macro(it) => it.ident.as_ref().map(|ident| (ident, public())),
            _ => None,
        };
        if let Some((ident, visibility)) = named {
            self.bind(name_of(ident), visibility, Is::Item(at));
        }
        // `pin_project!` declares what its attributes name.
        for attribute in attributes_of(&item).to_vec() {
            if let Meta::NameValue(pair) = &attribute.meta
                && ["project", "project_ref", "project_replace"].iter().any(|name| pair.path.is_ident(name))
                && let syn::Expr::Path(path) = &pair.value
                && let Some(ident) = path.path.get_ident()
            {
                self.bind(name_of(ident), Visibility::Inherited, Is::Item(at));
            }
        }
        match &item {
            Item::Macro(rules) => {
                if let Some(ident) = &rules.ident {
                    self.macros.insert(name_of(ident), rules.clone());
                }
            }
            Item::Use(import) => {
                for (name, path) in imports(import) {
                    match name.as_deref() {
                        None => self.globs.push((path, import.vis.clone())),
                        Some("_") => {}
                        Some(name) => self.bind(name.to_owned(), import.vis.clone(), Is::Import(path)),
                    }
                }
            }
            _ => {}
        }
        self.items.push(item);
    }

    fn bind(&mut self, name: String, visibility: Visibility, is: Is) {
        self.names.entry(name).or_default().push(Binding { visibility, is });
    }
}

/// Where a module is written, and where its children are.
struct Place {
    file: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn inline(&self, name: &str) -> Self {
        Self { file: self.file.clone(), folder: self.folder.join(name) }
    }

    fn child(&self, root: &Path, name: &str) -> Self {
        let folder = self.folder.join(name);
        let flat = folder.with_extension("rs");
        let file = if root.join(&flat).exists() { flat } else { folder.join("mod.rs") };
        Self { file, folder }
    }
}

fn read_file(root: &Path, file: &Path) -> syn::File {
    let path = root.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    syn::parse_file(&text)
        .unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), error.span().start().line))
}

/// A name without the `r#` of a keyword.
pub fn name_of(ident: &proc_macro2::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}
