//! What a user of the crate can reach with all features on, one line each.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Fields, FnArg, ImplItem, Item, Signature, TraitItem, Type, Visibility, parse::Parser};

use super::spell::spell;
use super::{
    built::{attributes_of, is_built},
    house::{FLOORS, place},
    modules::{Crate, Target, name_of},
    names::imports,
};

/// A public item: its shortest path, its kind and its shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub path: String,
    pub kind: &'static str,
    pub shape: String,
}

impl Line {
    /// Whether it counts as an item; fields and variants count apart.
    pub fn is_item(&self) -> bool {
        !matches!(self.kind, "field" | "variant")
    }

    pub fn text(&self) -> String {
        format!("{} {} {}", self.path, self.kind, self.shape).trim_end().to_owned()
    }
}

/// The public items by room, and how many are hidden from the documentation.
#[derive(Default)]
pub struct Surface {
    pub rooms: BTreeMap<String, BTreeSet<Line>>,
    pub hidden: usize,
}

impl Surface {
    pub fn read(all: &Crate) -> Self {
        let mut reader = Reader {
            all,
            paths: BTreeMap::new(),
            open: BTreeSet::new(),
            hidden: BTreeSet::new(),
            surface: Self::default(),
        };
        reader.walk();
        reader.list();
        let Reader { hidden, mut surface, paths, .. } = reader;
        surface.hidden += hidden.iter().filter(|target| !paths.contains_key(target)).count();
        surface
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.rooms.values().flatten()
    }
}

struct Reader<'a> {
    all: &'a Crate,
    /// The shortest path to each.
    paths: BTreeMap<Target, Vec<String>>,
    /// What is still to be looked into, shortest path first.
    open: BTreeSet<(usize, Vec<String>, Target)>,
    hidden: BTreeSet<Target>,
    surface: Surface,
}

impl Reader<'_> {
    /// Finds the shortest path to each public item.
    fn walk(&mut self) {
        self.open.insert((0, Vec::new(), Target::Module(0)));
        while let Some((_, path, target)) = self.open.pop_first() {
            if self.paths.contains_key(&target) {
                continue;
            }
            self.paths.insert(target, path.clone());
            if let Target::Module(at) = target {
                self.walk_module(at, &path, &mut BTreeSet::new());
            }
        }
    }

    fn walk_module(&mut self, at: usize, path: &[String], done: &mut BTreeSet<usize>) {
        if !done.insert(at) {
            return;
        }
        let module = &self.all.modules[at];
        for (name, bindings) in &module.names {
            for binding in bindings {
                if let Some(target) = binding.target(at) {
                    self.reach(target, path, name);
                }
            }
        }
        for item in &module.items {
            let Item::Use(import) = item else { continue };
            if !is_public(&import.vis) || is_hidden(&import.attrs) {
                continue;
            }
            for (name, led) in imports(import) {
                let targets = self.all.follow(at, &led);
                match name {
                    Some(name) if targets.is_empty() => {
                        let path = [path, &[name]].concat().join("::");
                        self.add(&module.file, path, "use", led.path.join("::"));
                    }
                    Some(name) => targets.into_iter().for_each(|target| self.reach(target, path, &name)),
                    None => {
                        for target in targets {
                            if let Target::Module(inner) = target {
                                self.walk_module(inner, path, done);
                            }
                        }
                    }
                }
            }
        }
    }

    fn reach(&mut self, target: Target, path: &[String], name: &str) {
        let (visibility, attributes) = match target {
            Target::Module(at) => {
                (Some(&self.all.modules[at].visibility), &self.all.modules[at].attributes[..])
            }
            Target::Item(at, item) => {
                let item = &self.all.modules[at].items[item];
                (visibility_of(item), attributes_of(item))
            }
        };
        let exported = attributes.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        if !exported && !visibility.is_some_and(is_public) {
            return;
        }
        if is_hidden(attributes) {
            self.hidden.insert(target);
            return;
        }
        let path = [path, &[name.to_owned()]].concat();
        self.open.insert((path.len(), path, target));
    }

    fn list(&mut self) {
        for (target, path) in self.paths.clone() {
            let path = path.join("::");
            match target {
                Target::Module(0) => {}
                Target::Module(at) => self.add(&self.all.modules[at].file, path, "mod", String::new()),
                Target::Item(at, item) => self.item(at, &self.all.modules[at].items[item], path),
            }
        }
        for (at, module) in self.all.modules.iter().enumerate() {
            for item in &module.items {
                if let Item::Impl(of) = item
                    && of.trait_.is_none()
                    && let Some((home, path)) = self.public_type(at, &of.self_ty)
                {
                    self.methods(at, home, &path, &of.items);
                }
            }
        }
    }

    /// The file and the path of a public type.
    fn public_type(&self, at: usize, of: &Type) -> Option<(usize, String)> {
        let Type::Path(of) = of else { return None };
        let names: Vec<_> = of.path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
        self.all.resolve(at, &names).ok()?.into_iter().find_map(|target| match target {
            Target::Module(_) => None,
            Target::Item(home, item) => match &self.all.modules[home].items[item] {
                Item::Type(alias) => self.public_type(home, &alias.ty),
                _ => Some((home, self.paths.get(&target)?.join("::"))),
            },
        })
    }

    fn add(&mut self, file: &str, path: String, kind: &'static str, shape: String) {
        let room = place(FLOORS, file).map_or(file, |(_, room)| room);
        self.surface.rooms.entry(room.to_owned()).or_default().insert(Line { path, kind, shape });
    }

    fn item(&mut self, at: usize, item: &Item, path: String) {
        let file = &self.all.modules[at].file;
        let (kind, shape) = match item {
            Item::Const(it) => ("const", format!(": {}", spell(&it.ty))),
            Item::Enum(_) => ("enum", String::new()),
            Item::Fn(it) => ("fn", signature(&it.sig)),
            Item::Macro(_) => ("macro", String::new()),
            Item::Static(it) => ("static", format!(": {}", spell(&it.ty))),
            Item::Struct(_) | Item::Union(_) => ("struct", String::new()),
            Item::Trait(_) => ("trait", String::new()),
            Item::Type(it) => ("type", format!("= {}", spell(&it.ty))),
            _ => return,
        };
        self.add(file, path.clone(), kind, shape);
        match item {
            Item::Struct(it) => {
                for (place, field) in it.fields.iter().enumerate() {
                    if is_public(&field.vis) && self.is_listed(&field.attrs) {
                        let name = field.ident.as_ref().map_or(place.to_string(), name_of);
                        self.add(file, format!("{path}::{name}"), "field", format!(": {}", spell(&field.ty)));
                    }
                }
            }
            Item::Enum(it) => {
                for variant in &it.variants {
                    if self.is_listed(&variant.attrs) {
                        let shape = match &variant.fields {
                            Fields::Unit => String::new(),
                            fields => fields_shape(fields),
                        };
                        self.add(file, format!("{path}::{}", name_of(&variant.ident)), "variant", shape);
                    }
                }
            }
            Item::Trait(it) => {
                for item in &it.items {
                    match item {
                        TraitItem::Fn(it) if self.is_listed(&it.attrs) => {
                            self.add(
                                file,
                                format!("{path}::{}", name_of(&it.sig.ident)),
                                "method",
                                signature(&it.sig),
                            );
                        }
                        TraitItem::Type(it) if self.is_listed(&it.attrs) => {
                            self.add(file, format!("{path}::{}", name_of(&it.ident)), "type", String::new());
                        }
                        TraitItem::Const(it) if self.is_listed(&it.attrs) => {
                            self.add(
                                file,
                                format!("{path}::{}", name_of(&it.ident)),
                                "const",
                                format!(": {}", spell(&it.ty)),
                            );
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// The public functions and constants of a type, written in the module `at`; the type is at `home`.
    fn methods(&mut self, at: usize, home: usize, path: &str, items: &[ImplItem]) {
        let file = &self.all.modules[home].file;
        for item in items {
            match item {
                ImplItem::Fn(it) if is_public(&it.vis) && self.is_listed(&it.attrs) => {
                    self.add(
                        file,
                        format!("{path}::{}", name_of(&it.sig.ident)),
                        "method",
                        signature(&it.sig),
                    );
                }
                ImplItem::Const(it) if is_public(&it.vis) && self.is_listed(&it.attrs) => {
                    self.add(
                        file,
                        format!("{path}::{}", name_of(&it.ident)),
                        "const",
                        format!(": {}", spell(&it.ty)),
                    );
                }
                ImplItem::Macro(call) if is_built(&call.attrs) => {
                    let written = self.all.written(at, &call.mac).unwrap_or_default();
                    let parser = |input: syn::parse::ParseStream<'_>| {
                        let mut items = Vec::new();
                        while !input.is_empty() {
                            items.push(input.parse::<ImplItem>()?);
                        }
                        Ok(items)
                    };
                    let items = parser.parse2(written).unwrap_or_else(|error| {
                        panic!("src/{}: a macro writes no functions: {error}", self.all.modules[at].file)
                    });
                    self.methods(at, home, path, &items);
                }
                _ => {}
            }
        }
    }

    /// Whether it is in the crate and its documentation; counts what is hidden.
    fn is_listed(&mut self, attributes: &[Attribute]) -> bool {
        let (built, hidden) = (is_built(attributes), is_hidden(attributes));
        self.surface.hidden += usize::from(built && hidden);
        built && !hidden
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("hidden"))
    })
}

fn visibility_of(item: &Item) -> Option<&Visibility> {
    match item {
        Item::Const(it) => Some(&it.vis),
        Item::Enum(it) => Some(&it.vis),
        Item::Fn(it) => Some(&it.vis),
        Item::Static(it) => Some(&it.vis),
        Item::Struct(it) => Some(&it.vis),
        Item::Trait(it) => Some(&it.vis),
        Item::Type(it) => Some(&it.vis),
        Item::Union(it) => Some(&it.vis),
        _ => None,
    }
}

/// The types of the parameters and of what comes back.
fn signature(of: &Signature) -> String {
    let inputs: Vec<_> = of
        .inputs
        .iter()
        .map(|input| match input {
            FnArg::Receiver(receiver) => match (&receiver.reference, receiver.mutability) {
                (Some(_), Some(_)) => "&mut self".to_owned(),
                (Some(_), None) => "&self".to_owned(),
                (None, _) if receiver.colon_token.is_some() => format!("self: {}", spell(&receiver.ty)),
                (None, _) => "self".to_owned(),
            },
            FnArg::Typed(typed) => spell(&typed.ty),
        })
        .collect();
    let sign = if of.asyncness.is_some() { "async " } else { "" };
    match &of.output {
        syn::ReturnType::Default => format!("{sign}({})", inputs.join(", ")),
        syn::ReturnType::Type(_, ty) => format!("{sign}({}) -> {}", inputs.join(", "), spell(ty)),
    }
}

fn fields_shape(fields: &Fields) -> String {
    let fields_of = fields.iter().filter(|field| is_built(&field.attrs)).map(|field| match &field.ident {
        Some(name) => format!("{}: {}", name_of(name), spell(&field.ty)),
        None => spell(&field.ty),
    });
    let all = fields_of.collect::<Vec<_>>().join(", ");
    if matches!(fields, Fields::Named(_)) { format!("{{ {all} }}") } else { format!("({all})") }
}
