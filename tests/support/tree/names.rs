//! What names and paths in the tree of modules lead to.

use std::collections::BTreeSet;

use syn::{Item, UseTree, Visibility, spanned::Spanned};

use super::modules::{Crate, Import, Is, Target, name_of};

impl Crate {
    /// What a path leads to, from a module. Nothing stands for a name of another crate, of the prelude, or of a local.
    ///
    /// # Errors
    /// The part of a path from `crate`, `super` or `self` that leads nowhere.
    pub fn resolve(&self, from: usize, path: &[String]) -> Result<Vec<Target>, String> {
        let mut rest = path;
        let mut found = vec![Target::Module(from)];
        // A path that starts in this crate leads somewhere.
        let mut own = false;
        while let [first, more @ ..] = rest {
            let start = match (first.as_str(), &found[..]) {
                ("crate", _) => 0,
                ("self", [Target::Module(at)]) => *at,
                ("super", [Target::Module(at)]) => self.modules[*at].parent.ok_or_else(|| path.join("::"))?,
                _ => break,
            };
            (found, rest, own) = (vec![Target::Module(start)], more, true);
        }
        for (done, name) in rest.iter().enumerate() {
            let modules = found.iter().filter_map(|target| match target {
                Target::Module(at) => Some(*at),
                Target::Item(..) => None,
            });
            let modules: Vec<_> = modules.collect();
            if modules.is_empty() {
                break; // What is within an item is declared with it.
            }
            let mut next = BTreeSet::new();
            let mut outside = false;
            for at in modules {
                let (targets, elsewhere) = self.look_up(at, name, from);
                next.extend(targets);
                outside |= elsewhere;
            }
            // Of a module and a function of one name, the last part of a path may be both.
            if done + 1 < rest.len() && next.iter().any(|target| matches!(target, Target::Module(_))) {
                next.retain(|target| matches!(target, Target::Module(_)));
            }
            if next.is_empty() {
                let part = path.len() - rest.len() + done + 1;
                let told = (own || done > 0) && !outside;
                return if told { Err(path[..part].join("::")) } else { Ok(Vec::new()) };
            }
            found = next.into_iter().collect();
        }
        Ok(found)
    }

    /// What a name in a module is, and whether it may come from elsewhere.
    fn look_up(&self, at: usize, name: &str, from: usize) -> (Vec<Target>, bool) {
        let key = (at, name.to_owned());
        if !self.open.borrow_mut().insert(key.clone()) {
            return (Vec::new(), false);
        }
        let module = &self.modules[at];
        let (mut targets, mut outside) = (Vec::new(), false);
        let seen = |visibility: &Visibility| {
            !matches!(visibility, Visibility::Inherited) || self.is_within(from, at)
        };
        for binding in module.names.get(name).into_iter().flatten().filter(|one| seen(&one.visibility)) {
            match &binding.is {
                Is::Item(item) => targets.push(Target::Item(at, *item)),
                Is::Module(child) => targets.push(Target::Module(*child)),
                Is::Import(import) => {
                    let led = self.follow(at, import);
                    outside |= led.is_empty();
                    targets.extend(led);
                }
            }
        }
        if targets.is_empty() && !outside {
            for (glob, _) in module.globs.iter().filter(|(_, visibility)| seen(visibility)) {
                let led = self.follow(at, glob);
                outside |= led.is_empty();
                for target in led {
                    match target {
                        Target::Module(inner) => {
                            let (found, elsewhere) = self.look_up(inner, name, at);
                            targets.extend(found);
                            outside |= elsewhere;
                        }
                        Target::Item(home, item) => {
                            if has_variant(&self.modules[home].items[item], name) {
                                targets.push(target);
                            }
                        }
                    }
                }
            }
        }
        self.open.borrow_mut().remove(&key);
        (targets, outside)
    }

    /// Where an import leads; nothing if into another crate.
    pub fn follow(&self, at: usize, import: &Import) -> Vec<Target> {
        if import.outside { Vec::new() } else { self.resolve(at, &import.path).unwrap_or_default() }
    }

    pub fn is_within(&self, inner: usize, outer: usize) -> bool {
        self.modules[inner].path.starts_with(&self.modules[outer].path)
    }
}

fn has_variant(item: &Item, name: &str) -> bool {
    matches!(item, Item::Enum(of) if of.variants.iter().any(|variant| variant.ident == name))
}

/// Every path of a `use`, with the name that it gives; a glob gives none.
pub fn imports(import: &syn::ItemUse) -> Vec<(Option<String>, Import)> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::<String>::new(), &import.tree)];
    while let Some((mut path, tree)) = open.pop() {
        let line = tree.span().start().line;
        let (name, last) = match tree {
            UseTree::Path(more) => {
                path.push(name_of(&more.ident));
                open.push((path, &more.tree));
                continue;
            }
            UseTree::Group(group) => {
                open.extend(group.items.iter().map(|tree| (path.clone(), tree)));
                continue;
            }
            UseTree::Name(name) => (Some(name_of(&name.ident)), Some(name_of(&name.ident))),
            UseTree::Rename(name) => (Some(name_of(&name.rename)), Some(name_of(&name.ident))),
            UseTree::Glob(_) => (None, None),
        };
        let renamed = matches!(tree, UseTree::Rename(_));
        match last {
            Some(last) if last == "self" && !path.is_empty() => {
                let name = if renamed { name } else { path.last().cloned() };
                found.push((name, Import { line, outside: import.leading_colon.is_some(), path }));
            }
            last => {
                path.extend(last);
                found.push((name, Import { line, outside: import.leading_colon.is_some(), path }));
            }
        }
    }
    found
}
