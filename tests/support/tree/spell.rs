//! Types as people write them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// A type on one line, with the spaces that people put.
pub fn spell(of: &impl ToTokens) -> String {
    let mut text = String::new();
    write(&mut text, of.to_token_stream());
    text
}

fn write(text: &mut String, tokens: TokenStream) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::None => ("", ""),
                };
                let is_keyword =
                    |word: &proc_macro2::Ident| ["mut", "dyn", "impl", "const"].iter().any(|key| word == key);
                // `&mut [u8]`, and `&'a [u8]`.
                let after_lifetime = at > 1 && is_sign(&tokens[at - 2], '\'');
                if matches!(before, Some(TokenTree::Ident(word)) if after_lifetime || is_keyword(word)) {
                    text.push(' ');
                }
                text.push_str(open);
                write(text, group.stream());
                text.push_str(close);
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                let after_word = matches!(before, Some(TokenTree::Ident(_) | TokenTree::Literal(_)));
                // A lifetime is a quote and a word.
                let after_lifetime = at > 1 && is_sign(&tokens[at - 2], '\'');
                if after_word && !is_sign_before(before, '\'') || after_lifetime && !after_word {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
            TokenTree::Punct(punct) => {
                let arrow = punct.as_char() == '>' && is_sign_before(before, '-');
                let single = punct.as_char() == ':'
                    && !is_sign_before(before, ':')
                    && !tokens.get(at + 1).is_some_and(|next| is_sign(next, ':'));
                match punct.as_char() {
                    '>' if arrow => text.push_str("> "),
                    '-' => text.push_str(" -"),
                    ',' if at + 1 == tokens.len() => {}
                    ',' | ';' => {
                        text.push(punct.as_char());
                        text.push(' ');
                    }
                    ':' if single => text.push_str(": "),
                    '+' | '=' => {
                        text.push(' ');
                        text.push(punct.as_char());
                        text.push(' ');
                    }
                    '\'' if matches!(before, Some(TokenTree::Ident(_))) => text.push_str(" '"),
                    sign => text.push(sign),
                }
            }
        }
    }
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_sign_before(before: Option<&TokenTree>, sign: char) -> bool {
    before.is_some_and(|token| is_sign(token, sign))
}
