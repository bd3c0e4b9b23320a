//! Values of keys, checked as far as they can be while compiling.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::parse::ParseStream;
use syn::{Error, Lit, LitStr, Result, Token};

use crate::keys::in_parentheses;

/// Bytes of a name, as in the core's limits: every storage takes as much.
const NAME_LIMIT: usize = 200;

/// `= ".."`: one line that people or storages know a thing by.
pub(crate) fn name(key: &Ident, input: ParseStream<'_>) -> Result<LitStr> {
    let name = text(key, input, "a text such as `\"mail\"`")?;
    check_name(&format!("`{key}`"), &name)?;
    Ok(name)
}

/// `("..", "..")`: such names.
pub(crate) fn names(key: &Ident, input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    let names = texts(
        key,
        input,
        &format!("a list, as in `{key}(\"one\", \"two\")`"),
    )?;
    for name in &names {
        check_name(&format!("an item of `{key}`"), name)?;
    }
    Ok(names)
}

/// Refuses what a storage would refuse as a name.
pub(crate) fn check_name(what: &str, name: &LitStr) -> Result<()> {
    let text = name.value();
    let mistake = if text.trim().is_empty() {
        format!(
            "{what} is {}",
            if text.is_empty() { "empty" } else { "blank" }
        )
    } else if text.chars().any(char::is_control) {
        format!(
            "{what} is `{}`, which holds control characters",
            text.escape_debug()
        )
    } else if text.len() > NAME_LIMIT {
        format!("{what} has {} bytes, the limit is {NAME_LIMIT}", text.len())
    } else {
        return Ok(());
    };
    Err(Error::new(name.span(), mistake))
}

/// `= ".."`
pub(crate) fn text(key: &Ident, input: ParseStream<'_>, what: &str) -> Result<LitStr> {
    match literal(key, input, what)? {
        Lit::Str(text) => Ok(text),
        other => Err(takes(key, other.span(), what)),
    }
}

/// `("..", "..")`
pub(crate) fn texts(key: &Ident, input: ParseStream<'_>, what: &str) -> Result<Vec<LitStr>> {
    if !input.peek(syn::token::Paren) {
        return Err(takes(key, value_span(key, input), what));
    }
    let texts = in_parentheses(input, |content| {
        let texts = content.parse_terminated(<LitStr as syn::parse::Parse>::parse, Token![,]);
        texts.map_err(|error| takes(key, error.span(), what))
    })?;
    if texts.is_empty() {
        return Err(Error::new(
            key.span(),
            format!("`{key}` is empty: give it at least one item"),
        ));
    }
    Ok(texts.into_iter().collect())
}

/// `= 3`, within `least` to `most`.
pub(crate) fn whole<T: TryFrom<i64>>(
    key: &Ident,
    input: ParseStream<'_>,
    least: i64,
    most: i64,
) -> Result<T> {
    let what = if most < i64::from(u32::MAX) {
        format!("a whole number from {least} to {most}")
    } else {
        format!("a whole number of at least {least}")
    };
    match literal(key, input, &what)? {
        Lit::Int(number) => {
            let value = number
                .base10_parse::<i64>()
                .ok()
                .filter(|value| (least..=most).contains(value));
            value
                .and_then(|value| T::try_from(value).ok())
                .ok_or_else(|| {
                    Error::new(
                        number.span(),
                        format!("`{key}` is `{number}`, it takes {what}"),
                    )
                })
        }
        other => Err(takes(key, other.span(), &what)),
    }
}

/// `= 1.5`, and `fits`, which is told as `what`.
pub(crate) fn number(
    key: &Ident,
    input: ParseStream<'_>,
    what: &str,
    fits: impl Fn(f64) -> bool,
) -> Result<f64> {
    let (value, span, written) = match literal(key, input, what)? {
        Lit::Float(number) => (
            number.base10_parse::<f64>().ok(),
            number.span(),
            number.to_string(),
        ),
        Lit::Int(number) => (
            number.base10_parse::<f64>().ok(),
            number.span(),
            number.to_string(),
        ),
        other => return Err(takes(key, other.span(), what)),
    };
    let value = value.filter(|value| value.is_finite() && fits(*value));
    value.ok_or_else(|| Error::new(span, format!("`{key}` is `{written}`, it takes {what}")))
}

/// `= "1h 30m"`
pub(crate) fn duration(key: &Ident, input: ParseStream<'_>) -> Result<Duration> {
    parse_duration(key, &text(key, input, DURATION)?)
}

/// `= "1h 30m"`, not zero in the microseconds that are kept. `because` says what zero would mean.
pub(crate) fn positive_duration(
    key: &Ident,
    input: ParseStream<'_>,
    because: &str,
) -> Result<Duration> {
    let written = text(key, input, DURATION)?;
    let duration = parse_duration(key, &written)?;
    if duration.as_micros() == 0 {
        return Err(Error::new(
            written.span(),
            format!("`{key}` is zero: {because}"),
        ));
    }
    Ok(duration)
}

/// `("1s", "5m")`
pub(crate) fn durations(key: &Ident, input: ParseStream<'_>) -> Result<Vec<Duration>> {
    let texts = texts(
        key,
        input,
        "a list of durations, as in `list(\"1s\", \"5s\", \"1m\")`",
    )?;
    texts.iter().map(|text| parse_duration(key, text)).collect()
}

/// `= true` or `= false`
pub(crate) fn yes_or_no(key: &Ident, input: ParseStream<'_>) -> Result<bool> {
    match literal(key, input, "`true` or `false`")? {
        Lit::Bool(answer) => Ok(answer.value),
        other => Err(takes(key, other.span(), "`true` or `false`")),
    }
}

/// `=`, or the mistake that `key` has no value.
pub(crate) fn equals(key: &Ident, input: ParseStream<'_>, what: &str) -> Result<()> {
    if !input.peek(Token![=]) {
        return Err(Error::new(
            key.span(),
            format!("`{key}` needs a value, `{key} = ..`: it takes {what}"),
        ));
    }
    input.parse::<Token![=]>().map(|_| ())
}

/// A duration as an expression.
pub(crate) fn duration_tokens(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

/// The doubled item of a list, if there is one.
pub(crate) fn doubled(names: &[LitStr], fold: impl Fn(&str) -> String) -> Option<&LitStr> {
    let folded: Vec<String> = names.iter().map(|name| fold(&name.value())).collect();
    (1..names.len())
        .find(|&index| folded[..index].contains(&folded[index]))
        .map(|index| &names[index])
}

/// "`a` takes .."; `key` is what it is about, `span` where the mistake is.
fn takes(key: &Ident, span: Span, what: &str) -> Error {
    Error::new(span, format!("`{key}` takes {what}"))
}

const DURATION: &str = "a duration such as `\"30s\"` or `\"1h 30m\"`";

fn parse_duration(key: &Ident, text: &LitStr) -> Result<Duration> {
    let written = text.value();
    humantime::parse_duration(written.trim()).map_err(|_| {
        let how = "write numbers with units (`ms`, `s`, `m`, `h`, `d`), as in `\"1h 30m\"`";
        Error::new(
            text.span(),
            format!("`{key}` is `{written}`, which is no duration: {how}"),
        )
    })
}

fn literal(key: &Ident, input: ParseStream<'_>, what: &str) -> Result<Lit> {
    equals(key, input, what)?;
    let span = value_span(key, input);
    input.parse::<Lit>().map_err(|_| takes(key, span, what))
}

/// Where the value is, or should be.
fn value_span(key: &Ident, input: ParseStream<'_>) -> Span {
    if input.is_empty() || input.peek(Token![,]) {
        key.span()
    } else {
        input.span()
    }
}
