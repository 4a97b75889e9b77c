//! Prints types and signatures the way people write them: `Result<f64, CalcError>`, not `Result < f64 , CalcError >`.
//!
//! The source text itself cannot be had: joining the spans of several tokens is not stable in proc macros.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of `tokens`.
pub(crate) fn of(tokens: impl ToTokens) -> String {
    let mut printer = Printer::default();
    printer.stream(tokens.to_token_stream());
    printer.text
}

#[derive(Default)]
struct Printer {
    text: String,
    last: Last,
}

/// What was printed last, as far as the next space depends on it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// Something that the next token sticks to: nothing yet, `(`, `<`, `&`, `::`, `'`.
    #[default]
    Open,
    Word,
    /// `>`, which ends a path as a word does.
    Close,
    Other,
}

impl Printer {
    fn stream(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => self.group(group.delimiter(), group.stream()),
                TokenTree::Ident(ident) => self.word(&ident.to_string()),
                TokenTree::Literal(literal) => self.word(&literal.to_string()),
                TokenTree::Punct(punct) => {
                    let next = match tokens.peek() {
                        Some(TokenTree::Punct(next)) if punct.spacing() == Spacing::Joint => {
                            Some(next.as_char())
                        }
                        _ => None,
                    };
                    match (punct.as_char(), next) {
                        (':', Some(':')) => {
                            tokens.next();
                            self.punct("::");
                        }
                        ('-', Some('>')) => {
                            tokens.next();
                            self.punct("->");
                        }
                        (other, _) => self.punct(other.encode_utf8(&mut [0; 4])),
                    }
                }
            }
        }
    }

    fn group(&mut self, delimiter: Delimiter, inner: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::None => return self.stream(inner),
        };
        let call = delimiter == Delimiter::Parenthesis && matches!(self.last, Last::Word | Last::Close);
        self.put(open, !call, Last::Open);
        self.stream(inner);
        self.put(close, false, Last::Word);
    }

    fn word(&mut self, word: &str) {
        // After a keyword a path begins anew: `<T as ::a::B>`.
        let keyword = matches!(word, "as" | "const" | "dyn" | "for" | "impl" | "mut");
        self.put(word, true, if keyword { Last::Other } else { Last::Word });
    }

    fn punct(&mut self, punct: &str) {
        let after_path = matches!(self.last, Last::Word | Last::Close);
        match punct {
            "::" => self.put(punct, !after_path, Last::Open),
            "<" => self.put(punct, !after_path, Last::Open),
            ">" => self.put(punct, false, Last::Close),
            "&" | "'" | "?" | "#" => self.put(punct, true, Last::Open),
            "," | ";" | ":" | "." => self.put(punct, false, Last::Other),
            _ => self.put(punct, true, Last::Other),
        }
    }

    fn put(&mut self, text: &str, space: bool, last: Last) {
        if space && self.last != Last::Open {
            self.text.push(' ');
        }
        self.text.push_str(text);
        self.last = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_signatures_look_as_they_are_written() {
        for source in [
            "f64",
            "()",
            "Result<f64, CalcError>",
            "&str",
            "&[u8]",
            "[u8; 4]",
            "(u8, Vec<Vec<String>>)",
            "<Vec<T> as IntoIterator>::Item",
            "<T as ::a::B>::C",
            "::core::option::Option<Box<[u8]>>",
            "path::to::Map<String, (A, B)>",
            "async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError>",
            "async fn set(&mut self, r#type: &[(u8, &str)]) -> (u8, u8)",
            "async fn get(&self) -> <T as X>::Y",
            "[u8; N * 2]",
        ] {
            assert_eq!(of(source.parse::<TokenStream>().unwrap()), source);
        }
    }
}
