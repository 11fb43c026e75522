//! The explanations of all settings are those of their types.

use std::collections::BTreeMap;

use syn::{Fields, GenericArgument, Item, PathArguments, Type};

use crate::source;
use crate::tree::modules::{Crate, Target, name_of};

const FILE: &str = "src/hub/config/explanations.txt";

#[test]
fn every_setting_is_explained_by_its_type() {
    let all = Crate::read(&source::root().join("src"), "lib.rs");
    let path = ["crate", "hub", "config", "Settings"].map(str::to_owned);
    let root = all.resolve(0, &path).expect("the settings");
    let mut found = BTreeMap::new();
    explain(&all, root[0], "", 0, &mut found);
    let text: String = found.iter().map(|(path, text)| format!("{path}\t{text}\n")).collect();
    if std::env::var_os("CAMPANILE_WRITE_EXPLANATIONS").is_some() {
        std::fs::write(source::root().join(FILE), text).expect("the explanations are written");
        return;
    }
    assert!(found.len() > 200, "{found:?}");
    assert!(
        source::read(FILE) == text,
        "{FILE} is not what the types say; run CAMPANILE_WRITE_EXPLANATIONS=1 cargo test --all-features --test config"
    );
}

/// Explains the fields of a struct, and those of the structs in them.
fn explain(all: &Crate, at: Target, path: &str, depth: usize, found: &mut BTreeMap<String, String>) {
    let Target::Item(module, item) = at else { return };
    let Item::Struct(item) = &all.modules[module].items[item] else { return };
    let Fields::Named(fields) = &item.fields else { return };
    assert!(depth < 10, "{path}: settings in settings without an end");
    for field in &fields.named {
        let name = field.ident.as_ref().map(name_of).unwrap_or_default();
        let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
        found.insert(inner.clone(), first_paragraph(&field.attrs));
        let (kind, is_map) = innermost(&field.ty);
        let Some(kind) = kind else { continue };
        let segments: Vec<_> = kind.path.segments.iter().map(|segment| name_of(&segment.ident)).collect();
        let next = if is_map { format!("{inner}.*") } else { inner };
        for target in all.resolve(module, &segments).unwrap_or_default() {
            explain(all, target, &next, depth + 1, found);
        }
    }
}

/// The type in an `Option` or a map, and whether it was in a map.
fn innermost(kind: &Type) -> (Option<&syn::TypePath>, bool) {
    let Type::Path(path) = kind else { return (None, false) };
    let Some(last) = path.path.segments.last() else { return (None, false) };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return (Some(path), false) };
    let kinds: Vec<_> = arguments
        .args
        .iter()
        .filter_map(|argument| if let GenericArgument::Type(kind) = argument { Some(kind) } else { None })
        .collect();
    match (last.ident.to_string().as_str(), &kinds[..]) {
        ("Option", [kind]) => innermost(kind),
        ("BTreeMap", [_, kind]) => (innermost(kind).0, true),
        _ => (None, false),
    }
}

/// The first paragraph of a documentation, on one line and without links.
fn first_paragraph(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
        pair.path.is_ident("doc").then(|| text.value().trim().to_owned())
    });
    let paragraph: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    without_links(&paragraph.join(" "))
}

/// `[text](target)` and `[text]` of code are their text.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let end = after.find(']').unwrap_or(after.len());
        let (inner, tail) = (&after[..end], after.get(end + 1..).unwrap_or_default());
        let is_code = inner.starts_with('`') && inner.ends_with('`') && !inner.contains(", ");
        if let Some((_, tail)) = tail.strip_prefix('(').and_then(|target| target.split_once(')')) {
            plain.push_str(inner);
            rest = tail;
        } else {
            plain.push_str(&if is_code { inner.to_owned() } else { format!("[{inner}]") });
            rest = tail;
        }
    }
    plain + rest
}

#[test]
fn links_become_their_text() {
    let text = "See [the table](crate::a) and [`B`] in `[204, \"300-399\"]`, [x].";
    assert_eq!(without_links(text), "See the table and `B` in `[204, \"300-399\"]`, [x].");
}
