//! Lists of `key`, `key = value` and `key(..)`. Each key is met once, an unknown
//! one is answered with a guess, and one bad value does not hide the next.

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Result, Token};

/// The mistakes found so far, to be reported together.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn add(&mut self, mistake: Error) {
        match &mut self.0 {
            Some(first) => first.combine(mistake),
            None => self.0 = Some(mistake),
        }
    }

    /// The value, or `None` and one mistake more.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|mistake| self.add(mistake)).ok()
    }

    pub(crate) fn into_error(self) -> Option<Error> {
        self.0
    }
}

/// The keys of one kind of list, and which of them were met.
pub(crate) struct Keys {
    known: &'static [&'static str],
    met: Vec<String>,
}

impl Keys {
    pub(crate) fn of(known: &'static [&'static str]) -> Self {
        Self {
            known,
            met: Vec::new(),
        }
    }

    /// Reads `input` to its end, handing each key to `take`, which reads its value.
    pub(crate) fn read(
        &mut self,
        input: ParseStream<'_>,
        mistakes: &mut Mistakes,
        mut take: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>,
    ) -> Result<()> {
        while !input.is_empty() {
            let item = self.key(input).and_then(|key| take(&key, input));
            if let Err(mistake) = item {
                mistakes.add(mistake);
                skip_item(input)?;
            }
            if !input.is_empty() && input.parse::<Token![,]>().is_err() {
                mistakes.add(input.error("expected `,` between keys"));
                skip_item(input)?;
            }
        }
        Ok(())
    }

    fn key(&mut self, input: ParseStream<'_>) -> Result<Ident> {
        let key = input
            .call(Ident::parse_any)
            .map_err(|_| input.error(format!("expected a key: one of {}", list(self.known))))?;
        let name = key.to_string();
        if !self.known.contains(&name.as_str()) {
            let hint = closest(&name, self.known.iter().copied()).map_or_else(
                || format!("known are {}", list(self.known)),
                |guess| format!("did you mean `{guess}`?"),
            );
            return Err(Error::new(
                key.span(),
                format!("unknown key `{name}`, {hint}"),
            ));
        }
        if self.met.contains(&name) {
            return Err(Error::new(key.span(), format!("`{name}` is given twice")));
        }
        self.met.push(name);
        Ok(key)
    }
}

/// Reads what stands in parentheses. All of it is taken even if `read` fails,
/// so that the rest of the list is read on.
pub(crate) fn in_parentheses<T>(
    input: ParseStream<'_>,
    read: impl FnOnce(ParseStream<'_>) -> Result<T>,
) -> Result<T> {
    let content;
    syn::parenthesized!(content in input);
    let result = read(&content);
    if result.is_err() {
        content.parse::<proc_macro2::TokenStream>()?;
    }
    result
}

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b` and `c`".
pub(crate) fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn skip_item(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_guessed_and_a_stranger_is_not() {
        let known = ["queue", "priority", "retention", "retry_delay"];
        assert_eq!(closest("que", known.into_iter()), Some("queue"));
        assert_eq!(
            closest("retries_delay", known.into_iter()),
            Some("retry_delay")
        );
        assert_eq!(closest("colour", known.into_iter()), None);
        assert_eq!(closest("retries", known.into_iter()), None);
        assert_eq!(
            list(&known),
            "`queue`, `priority`, `retention` and `retry_delay`"
        );
    }
}
