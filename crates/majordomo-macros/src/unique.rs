//! `unique` and its template: of which key only one job may be live.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::ParseStream;
use syn::{Data, DeriveInput, Error, Fields, Index, LitStr, Member, Result, Token};

use crate::keys::{closest, list};
use crate::value::text;

/// What the key is made of.
pub(crate) enum Unique {
    /// The whole payload.
    Payload,
    /// A text with fields in it.
    Template(LitStr, Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Field(String),
}

impl Unique {
    /// Nothing, or `= "welcome-{to}"`.
    pub(crate) fn read(key: &Ident, input: ParseStream<'_>, task: &DeriveInput) -> Result<Self> {
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self::Payload);
        }
        if !input.peek(Token![=]) {
            let how =
                "`unique` is written `unique = \"welcome-{to}\"`, or alone for the whole payload";
            return Err(Error::new(key.span(), how));
        }
        let written = text(
            key,
            input,
            "a template such as `\"welcome-{to}\"`, or no value for the whole payload",
        )?;
        if written.value().is_empty() {
            return Err(Error::new(
                written.span(),
                "the template is empty: name what makes a job unique, or write `unique` alone for the whole payload",
            ));
        }
        let pieces =
            parse(&written.value()).map_err(|mistake| Error::new(written.span(), mistake))?;
        for piece in &pieces {
            if let Piece::Field(field) = piece {
                check_field(field, task).map_err(|mistake| Error::new(written.span(), mistake))?;
            }
        }
        Ok(Self::Template(written, pieces))
    }

    /// The key of `self`, as an expression of `Option<String>`.
    pub(crate) fn to_tokens(&self, name: &str, private: &TokenStream) -> TokenStream {
        let Self::Template(written, pieces) = self else {
            return quote!(#private::unique::payload(#name, self));
        };
        let mut format = escape(&format!("{name}/"));
        let mut fields = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => format.push_str(&escape(text)),
                Piece::Field(field) => {
                    format.push_str("{}");
                    fields.push(member(field, written.span()));
                }
            }
        }
        if fields.is_empty() {
            let key = format.replace("{{", "{").replace("}}", "}");
            return quote!(::core::option::Option::Some(::std::string::String::from(#key)));
        }
        // With the template's span a field without `Display` is reported there.
        let fields = fields
            .iter()
            .map(|field| quote_spanned!(written.span()=> self.#field));
        quote!(::core::option::Option::Some(
            ::std::format!(#format, #(#fields),*)
        ))
    }
}

/// Splits a template; the error says what is wrong with it.
pub(crate) fn parse(template: &str) -> std::result::Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '{' | '}' if rest.peek() == Some(&letter) => {
                rest.next();
                text.push(letter);
            }
            '{' => {
                let mut field = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(letter) => field.push(letter),
                        None => {
                            return Err(format!(
                                "`{{{field}` is not closed; a brace itself is written `{{{{`"
                            ));
                        }
                    }
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Field(plain_field(&field)?));
            }
            '}' => return Err("a `}` closes nothing; a brace itself is written `}}`".to_owned()),
            letter => text.push(letter),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// A field's name or index, and nothing more.
fn plain_field(written: &str) -> std::result::Result<String, String> {
    let field = written.trim();
    let is_index = !field.is_empty() && field.chars().all(|letter| letter.is_ascii_digit());
    if is_index || syn::parse_str::<Ident>(field).is_ok() || field.starts_with("r#") {
        return Ok(field.strip_prefix("r#").unwrap_or(field).to_owned());
    }
    if field.is_empty() {
        return Err("`{}` names no field: write `{field}`, or `{0}` in a tuple".to_owned());
    }
    // A keyword is the name of a field that is written `r#type` in Rust.
    if syn::parse_str::<Ident>(&format!("r#{field}")).is_ok() {
        return Ok(field.to_owned());
    }
    Err(format!(
        "`{{{written}}}` is not the name of a field; a path or a format cannot stand here"
    ))
}

fn check_field(field: &str, task: &DeriveInput) -> std::result::Result<(), String> {
    let Data::Struct(data) = &task.data else {
        return Err(format!(
            "`{{{field}}}` cannot be filled in: an enum has no fields of its own; write `unique` alone for the whole payload"
        ));
    };
    let names: Vec<String> = match &data.fields {
        Fields::Named(fields) => fields
            .named
            .iter()
            .filter_map(|field| Some(plain(field.ident.as_ref()?)))
            .collect(),
        Fields::Unnamed(fields) => (0..fields.unnamed.len())
            .map(|index| index.to_string())
            .collect(),
        Fields::Unit => Vec::new(),
    };
    if names.iter().any(|name| name == field) {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Err(format!(
            "`{{{field}}}` cannot be filled in: `{}` has no fields",
            task.ident
        ));
    }
    let hint = match closest(field, names.iter().copied()) {
        Some(guess) => format!("did you mean `{{{guess}}}`?"),
        None => format!("it has {}", list(&names)),
    };
    Err(format!("`{}` has no field `{field}`, {hint}", task.ident))
}

fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// The field in `self.field`; raw if its name is a keyword.
fn member(field: &str, span: Span) -> Member {
    if let Ok(index) = field.parse() {
        return Member::Unnamed(Index { index, span });
    }
    let is_plain = syn::parse_str::<Ident>(field).is_ok();
    Member::Named(if is_plain {
        Ident::new(field, span)
    } else {
        Ident::new_raw(field, span)
    })
}

fn escape(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn field(name: &str) -> Piece {
        Piece::Field(name.to_owned())
    }

    #[test]
    fn a_template_is_text_and_fields() {
        assert_eq!(parse("nightly").unwrap(), [text("nightly")]);
        assert_eq!(
            parse("to-{to}/{0}").unwrap(),
            [text("to-"), field("to"), text("/"), field("0")]
        );
        assert_eq!(
            parse("{{{to}}}").unwrap(),
            [text("{"), field("to"), text("}")]
        );
        assert_eq!(
            parse("{type}{r#type}").unwrap(),
            [field("type"), field("type")]
        );
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        let table = [
            ("{to", "`{to` is not closed"),
            ("to}", "closes nothing"),
            ("{}", "names no field"),
            ("{to:?}", "`{to:?}` is not the name of a field"),
            ("{to.name}", "`{to.name}` is not the name of a field"),
        ];
        for (template, mistake) in table {
            let error = parse(template).unwrap_err();
            assert!(error.contains(mistake), "{template}: {error}");
        }
    }
}
