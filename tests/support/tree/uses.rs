//! Which file of the package's own source uses what another file declares.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Attribute, Expr, Item, Meta, Stmt,
    visit::{self, Visit},
};

use super::built::{attributes_of, is_built};
use super::modules::{Crate, Import, Target, name_of};
use super::names::imports;

/// The first place at which a file uses another.
#[derive(Clone)]
pub struct Use {
    pub line: usize,
    /// As it is written there.
    pub path: String,
}

/// All uses among the files, and the paths that lead nowhere.
#[derive(Default)]
pub struct Uses {
    pub of: BTreeMap<(String, String), Use>,
    pub faults: Vec<String>,
}

impl Uses {
    pub fn read(all: &Crate) -> Self {
        let mut found = Self::default();
        for (at, module) in all.modules.iter().enumerate() {
            let mut reader = Reader { all, at, blocks: Vec::new(), found: &mut found };
            for attribute in &module.attributes {
                reader.visit_attribute(attribute);
            }
            for item in &module.items {
                reader.visit_item(item);
            }
            for (glob, visibility) in &module.globs {
                // What an export of everything passes on is used by the module that does so.
                if !matches!(visibility, syn::Visibility::Inherited) {
                    for target in all.follow(at, glob) {
                        let path = format!("{}::*", glob.path.join("::"));
                        reader.note(target, Use { line: glob.line, path }, true);
                    }
                }
            }
        }
        found.faults.sort();
        found.faults.dedup();
        found
    }
}

struct Reader<'a> {
    all: &'a Crate,
    at: usize,
    /// The names that the blocks around this place declare; those that they import, with their paths.
    blocks: Vec<BTreeMap<String, Option<Import>>>,
    found: &'a mut Uses,
}

impl Reader<'_> {
    fn note(&mut self, target: Target, by: Use, modules: bool) {
        let home = match target {
            Target::Item(home, _) => home,
            // A module counts by what is used of it.
            Target::Module(home) if modules => home,
            Target::Module(_) => return,
        };
        let (from, to) = (&self.all.modules[self.at].file, &self.all.modules[home].file);
        if from != to {
            let first = self.found.of.entry((from.clone(), to.clone())).or_insert_with(|| by.clone());
            if by.line < first.line {
                *first = by;
            }
        }
    }

    /// Looks up a path. In the rules of a macro, `self` and `super` are those of the place of the call.
    fn path(&mut self, names: &[String], line: usize, is_certain: bool) {
        let mut full = names.to_vec();
        for block in self.blocks.iter().rev() {
            match block.get(&names[0]) {
                Some(Some(import)) if import.outside => return,
                Some(Some(import)) if import.path[0] != names[0] => {
                    full = import.path.iter().chain(&names[1..]).cloned().collect();
                }
                Some(None) => return,
                _ => continue,
            }
            break;
        }
        match self.all.resolve(self.at, &full) {
            Ok(targets) => {
                for target in targets {
                    self.note(target, Use { line, path: names.join("::") }, false);
                }
            }
            Err(part) if is_certain => {
                let file = &self.all.modules[self.at].file;
                self.found.faults.push(format!("src/{file}:{line}: `{part}` leads nowhere"));
            }
            Err(_) => {}
        }
    }

    /// The paths among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream, is_certain: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let sign = |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        let colons = |at: usize| sign(at, ':') && sign(at + 1, ':');
        let mut at = 0;
        while at < tokens.len() {
            let ident = match &tokens[at] {
                TokenTree::Group(group) => {
                    self.tokens(group.stream(), is_certain);
                    at += 1;
                    continue;
                }
                TokenTree::Ident(ident) => ident,
                _ => {
                    at += 1;
                    continue;
                }
            };
            let line = ident.span().start().line;
            let before = |sign: char| {
                at > 0 && matches!(&tokens[at - 1], TokenTree::Punct(punct) if punct.as_char() == sign)
            };
            let is_field = before('.') && !(at > 1 && sign(at - 2, '.'));
            let of_crate = before('$') && ident == "crate";
            let starts =
                !(is_field || before('\'') || (before('$') && !of_crate) || (at > 1 && colons(at - 2)));
            let mut names = vec![name_of(ident)];
            at += 1;
            while let (true, Some(TokenTree::Ident(next))) = (colons(at), tokens.get(at + 2)) {
                names.push(name_of(next));
                at += 3;
            }
            // A tree of imports, or a path whose end a macro fills in.
            if colons(at) {
                if let Some(TokenTree::Group(group)) = tokens.get(at + 2)
                    && group.delimiter() == Delimiter::Brace
                {
                    self.tree(&names, group.stream());
                    at += 3;
                }
                if names.len() == 1 {
                    continue;
                }
            }
            let is_name_of_field = names.len() == 1 && sign(at, ':');
            if starts && !is_name_of_field && names[0] != "Self" && names != ["self"] {
                self.path(&names, line, is_certain && names.len() > 1);
            }
        }
    }

    /// `start::{a, b::c}` in a macro.
    fn tree(&mut self, start: &[String], tokens: TokenStream) {
        let whole: TokenStream =
            [TokenTree::from(proc_macro2::Group::new(Delimiter::Brace, tokens))].into_iter().collect();
        let text = format!("use {}::{whole};", start.join("::"));
        if let Ok(import) = syn::parse_str::<syn::ItemUse>(&text) {
            for (_, import) in imports(&import) {
                self.path(&import.path, import.line, false);
            }
        }
    }

    /// The functions that an attribute of serde names in a string.
    fn serde(&mut self, meta: &Meta) {
        let Meta::List(list) = meta else { return };
        let tokens: Vec<_> = list.tokens.clone().into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Literal(literal) = token else { continue };
            let text = literal.to_string();
            let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) else { continue };
            let mut names: Vec<_> = path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
            let is_module = at > 1 && matches!(&tokens[at - 2], TokenTree::Ident(key) if key == "with");
            if is_module {
                names.push("serialize".to_owned());
                if !matches!(self.all.resolve(self.at, &names), Ok(found) if !found.is_empty()) {
                    names.pop();
                    names.push("deserialize".to_owned());
                }
            }
            self.path(&names, literal.span().start().line, true);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_built(attributes_of(item)) {
            return;
        }
        match item {
            Item::Macro(rules) if rules.ident.is_some() => self.tokens(rules.mac.tokens.clone(), false),
            Item::Use(import) => {
                for attribute in &import.attrs {
                    self.visit_attribute(attribute);
                }
                // Of a glob's module counts what is used; an enum is used by the glob itself.
                let paths = imports(import).into_iter().map(|(_, path)| path);
                for path in paths.filter(|path| !path.outside && !path.path.is_empty()) {
                    self.path(&path.path, path.line, true);
                }
            }
            Item::Mod(_) => {}
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(it) => &it.attrs,
            syn::ImplItem::Fn(it) => &it.attrs,
            syn::ImplItem::Type(it) => &it.attrs,
            syn::ImplItem::Macro(it) => &it.attrs,
            _ => return,
        };
        if is_built(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut names = BTreeMap::new();
        for stmt in &block.stmts {
            let Stmt::Item(item) = stmt else { continue };
            let ident = match item {
                Item::Use(import) => {
                    for (name, mut path) in imports(import) {
                        path.outside |= import.leading_colon.is_some();
                        names.extend(name.map(|name| (name, Some(path))));
                    }
                    continue;
                }
                Item::Const(it) => &it.ident,
                Item::Enum(it) => &it.ident,
                Item::Fn(it) => &it.sig.ident,
                Item::Static(it) => &it.ident,
                Item::Struct(it) => &it.ident,
                Item::Trait(it) => &it.ident,
                Item::Type(it) => &it.ident,
                _ => continue,
            };
            names.insert(name_of(ident), None);
        }
        self.blocks.push(names);
        visit::visit_block(self, block);
        self.blocks.pop();
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if is_built(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if is_built(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if is_built(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if is_built(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if is_built(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        let attributes: &[Attribute] = match expr {
            Expr::Block(it) => &it.attrs,
            Expr::Call(it) => &it.attrs,
            Expr::If(it) => &it.attrs,
            Expr::MethodCall(it) => &it.attrs,
            Expr::Return(it) => &it.attrs,
            _ => &[],
        };
        if is_built(attributes) {
            visit::visit_expr(self, expr);
        }
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let path = attribute.path();
        if path.is_ident("serde") {
            self.serde(&attribute.meta);
        } else if path.is_ident("derive") {
            visit::visit_attribute(self, attribute);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
        if path.leading_colon.is_none() && names[0] != "Self" && names != ["self"] {
            let line = path.segments[0].ident.span().start().line;
            self.path(&names, line, true);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some((home, _)) = self.all.find_macro(self.at, &call.path) {
            let names: Vec<_> = call.path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
            let line = call.path.segments[0].ident.span().start().line;
            let by = Use { line, path: format!("{}!", names.join("::")) };
            self.note(Target::Item(home, 0), by, false);
        }
        self.tokens(call.tokens.clone(), true);
    }
}
