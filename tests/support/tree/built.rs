//! What attributes say about code: whether it is in the crate when it is not tested.

use syn::{Attribute, Item, Meta, punctuated::Punctuated};

/// Whether code with these attributes is in the crate when it is not tested.
pub fn is_built(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .all(|attribute| attribute.parse_args::<Meta>().map_or(true, |condition| possible(&condition).0))
}

/// Whether a condition can be true, and whether it can be false.
fn possible(condition: &Meta) -> (bool, bool) {
    const NEVER: [&str; 4] = ["test", "doctest", "campanile_loom", "campanile_gpu_live"];
    let parts = |list: &syn::MetaList| -> Vec<(bool, bool)> {
        let parts = list.parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated);
        parts.expect("the parts of a condition").iter().map(possible).collect()
    };
    match condition {
        Meta::Path(path) if NEVER.iter().any(|name| path.is_ident(name)) => (false, true),
        Meta::List(list) if list.path.is_ident("not") => {
            let parts = parts(list);
            (parts.iter().all(|part| part.1), parts.iter().all(|part| part.0))
        }
        Meta::List(list) if list.path.is_ident("all") => {
            let parts = parts(list);
            (parts.iter().all(|part| part.0), parts.iter().any(|part| part.1))
        }
        Meta::List(list) if list.path.is_ident("any") => {
            let parts = parts(list);
            (parts.iter().any(|part| part.0), parts.iter().all(|part| part.1))
        }
        _ => (true, true),
    }
}

pub fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::ExternCrate(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::ForeignMod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::TraitAlias(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}
