//! What the crate's own `macro_rules!` write, as far as items go.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};

/// A part of a matcher.
enum Matcher {
    Token(TokenTree),
    Group(Delimiter, Vec<Matcher>),
    Fragment(String, String),
    Repeat(Vec<Matcher>, Option<TokenTree>, char),
}

/// What a name in a matcher stood for.
#[derive(Clone)]
enum Bound {
    One(Vec<TokenTree>),
    Many(Vec<Bound>),
}

type Bindings = BTreeMap<String, Bound>;

/// What a macro writes for this input, if one of its arms fits.
pub fn expand(rules: &TokenStream, input: TokenStream) -> Option<TokenStream> {
    let input: Vec<_> = input.into_iter().collect();
    let rules: Vec<_> = rules.clone().into_iter().collect();
    for arm in rules.split(|token| is_sign(token, ';')) {
        let [TokenTree::Group(matcher), .., TokenTree::Group(body)] = arm else { continue };
        let mut bindings = Bindings::new();
        let matchers = matchers(&trees(&matcher.stream()));
        if matched(&matchers, &input, &mut bindings) == Some(input.len()) {
            return Some(write(&trees(&body.stream()), &bindings));
        }
    }
    None
}

/// The items in a call of `pin_project!`, `thread_local!` or `task_local!`.
pub fn declarations(name: &str, input: TokenStream) -> Option<TokenStream> {
    let value = match name {
        "pin_project" => return Some(input),
        "thread_local" => "",
        "task_local" => "= ()",
        _ => return None,
    };
    let value: TokenStream = value.parse().expect("a few tokens");
    let end: TokenStream = ";".parse().expect("a sign");
    let mut written = TokenStream::new();
    // The last variable may do without its semicolon.
    for variable in trees(&input).split(|token| is_sign(token, ';')).filter(|tokens| !tokens.is_empty()) {
        written.extend(variable.iter().cloned());
        written.extend(value.clone());
        written.extend(end.clone());
    }
    Some(written)
}

fn trees(stream: &TokenStream) -> Vec<TokenTree> {
    stream.clone().into_iter().collect()
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// The sign of a repetition, and what stands between two rounds.
fn ending(tokens: &[TokenTree]) -> (Option<TokenTree>, char, usize) {
    let sign = |token: Option<&TokenTree>| match token {
        Some(TokenTree::Punct(punct)) if "*+?".contains(punct.as_char()) => Some(punct.as_char()),
        _ => None,
    };
    match (sign(tokens.first()), sign(tokens.get(1))) {
        (Some(sign), _) => (None, sign, 1),
        (None, Some(sign)) => (tokens.first().cloned(), sign, 2),
        (None, None) => panic!("a repetition in a macro has no `*`, `+` or `?`"),
    }
}

fn matchers(tokens: &[TokenTree]) -> Vec<Matcher> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        match &tokens[at..] {
            [dollar, TokenTree::Group(group), rest @ ..] if is_sign(dollar, '$') => {
                let (between, sign, length) = ending(rest);
                found.push(Matcher::Repeat(matchers(&trees(&group.stream())), between, sign));
                at += 2 + length;
            }
            [dollar, TokenTree::Ident(name), colon, TokenTree::Ident(kind), ..]
                if is_sign(dollar, '$') && is_sign(colon, ':') =>
            {
                found.push(Matcher::Fragment(name.to_string(), kind.to_string()));
                at += 4;
            }
            [TokenTree::Group(group), ..] => {
                found.push(Matcher::Group(group.delimiter(), matchers(&trees(&group.stream()))));
                at += 1;
            }
            [token, ..] => {
                found.push(Matcher::Token(token.clone()));
                at += 1;
            }
            [] => unreachable!("the loop has ended"),
        }
    }
    found
}

/// How many tokens the matchers take, if they fit.
fn matched(matchers: &[Matcher], input: &[TokenTree], bindings: &mut Bindings) -> Option<usize> {
    let mut at = 0;
    for matcher in matchers {
        match matcher {
            Matcher::Token(token) => {
                let same = input.get(at).is_some_and(|found| found.to_string() == token.to_string());
                at += same.then_some(1)?;
            }
            Matcher::Group(delimiter, inner) => {
                let Some(TokenTree::Group(group)) = input.get(at) else { return None };
                let inside = trees(&group.stream());
                let fits = group.delimiter() == *delimiter
                    && matched(inner, &inside, bindings) == Some(inside.len());
                at += fits.then_some(1)?;
            }
            Matcher::Fragment(name, kind) => {
                let length = fragment(kind, &input[at..])?;
                bindings.insert(name.clone(), Bound::One(input[at..at + length].to_vec()));
                at += length;
            }
            Matcher::Repeat(inner, between, sign) => {
                let mut rounds = Vec::new();
                loop {
                    let mut start = at;
                    if let (Some(between), false) = (between, rounds.is_empty()) {
                        if input.get(start).map(ToString::to_string) != Some(between.to_string()) {
                            break;
                        }
                        start += 1;
                    }
                    let mut round = Bindings::new();
                    match matched(inner, &input[start..], &mut round) {
                        Some(length) if start + length > at => at = start + length,
                        _ => break,
                    }
                    rounds.push(round);
                    if *sign == '?' {
                        break;
                    }
                }
                if *sign == '+' && rounds.is_empty() {
                    return None;
                }
                let mut names = Vec::new();
                names_in(inner, &mut names);
                for name in names {
                    let all = rounds.iter().filter_map(|round| round.get(&name).cloned()).collect();
                    bindings.insert(name, Bound::Many(all));
                }
            }
        }
    }
    Some(at)
}

fn names_in(matchers: &[Matcher], names: &mut Vec<String>) {
    for matcher in matchers {
        match matcher {
            Matcher::Fragment(name, _) => names.push(name.clone()),
            Matcher::Group(_, inner) | Matcher::Repeat(inner, ..) => names_in(inner, names),
            Matcher::Token(_) => {}
        }
    }
}

/// How many tokens a fragment of this kind takes.
fn fragment(kind: &str, input: &[TokenTree]) -> Option<usize> {
    match (kind, input.first()) {
        ("literal", _) => taken(input, syn::Lit::parse),
        ("ident", Some(TokenTree::Ident(_))) | ("tt", Some(_)) => Some(1),
        ("block", Some(TokenTree::Group(group))) if group.delimiter() == Delimiter::Brace => Some(1),
        ("vis", _) => taken(input, syn::Visibility::parse),
        ("ty", _) => taken(input, syn::Type::parse),
        ("path", _) => taken(input, syn::Path::parse),
        ("expr", _) => taken(input, syn::Expr::parse),
        ("stmt", _) => taken(input, syn::Stmt::parse),
        ("item", _) => taken(input, syn::Item::parse),
        ("pat", _) => taken(input, syn::Pat::parse_multi),
        ("meta", _) => taken(input, syn::Meta::parse),
        _ => None,
    }
}

fn taken<T>(input: &[TokenTree], parse: fn(ParseStream<'_>) -> syn::Result<T>) -> Option<usize> {
    let parser = |stream: ParseStream<'_>| {
        parse(stream)?;
        stream.parse::<TokenStream>()
    };
    let rest = parser.parse2(input.iter().cloned().collect()).ok()?;
    Some(input.len() - rest.into_iter().count())
}

/// The body of an arm with its names replaced.
fn write(body: &[TokenTree], bindings: &Bindings) -> TokenStream {
    let (mut written, mut at) = (TokenStream::new(), 0);
    while at < body.len() {
        match &body[at..] {
            [dollar, TokenTree::Group(group), rest @ ..] if is_sign(dollar, '$') => {
                let (between, _, length) = ending(rest);
                let inner = trees(&group.stream());
                for (round, now) in rounds(&inner, bindings).into_iter().enumerate() {
                    written.extend(between.clone().filter(|_| round > 0));
                    written.extend(write(&inner, &now));
                }
                at += 2 + length;
            }
            [dollar, TokenTree::Ident(name), ..] if is_sign(dollar, '$') => {
                match bindings.get(&name.to_string()) {
                    Some(Bound::One(tokens)) => written.extend(tokens.iter().cloned()),
                    Some(Bound::Many(_)) => panic!("`${name}` in a macro needs a repetition"),
                    // `$crate` is this crate.
                    None => written.extend([TokenTree::Ident(name.clone())]),
                }
                at += 2;
            }
            [TokenTree::Group(group), ..] => {
                let mut replaced = Group::new(group.delimiter(), write(&trees(&group.stream()), bindings));
                replaced.set_span(group.span());
                written.extend([TokenTree::Group(replaced)]);
                at += 1;
            }
            [token, ..] => {
                written.extend([token.clone()]);
                at += 1;
            }
            [] => unreachable!("the loop has ended"),
        }
    }
    written
}

/// The bindings of each round of a repetition.
fn rounds(inner: &[TokenTree], bindings: &Bindings) -> Vec<Bindings> {
    let mut used = Vec::new();
    names_used(inner, &mut used);
    let many = used.iter().filter_map(|name| match bindings.get(name) {
        Some(Bound::Many(all)) => Some((name, all)),
        _ => None,
    });
    let many: Vec<_> = many.collect();
    let count = many.iter().map(|(_, all)| all.len()).max().unwrap_or(0);
    let round = |at: usize| {
        let mut now = bindings.clone();
        for (name, all) in &many {
            if let Some(bound) = all.get(at) {
                now.insert((*name).clone(), bound.clone());
            }
        }
        now
    };
    (0..count).map(round).collect()
}

fn names_used(tokens: &[TokenTree], names: &mut Vec<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => names_used(&trees(&group.stream()), names),
            TokenTree::Ident(name) if at > 0 && is_sign(&tokens[at - 1], '$') => names.push(name.to_string()),
            _ => {}
        }
    }
}
