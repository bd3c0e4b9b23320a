//! `backoff(..)`: one of the core's shapes with what it needs, and nothing else.

use std::time::Duration;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::parse::ParseStream;
use syn::{Error, Result, Token};

use crate::keys::{Keys, Mistakes, in_parentheses, list};
use crate::value::{duration, duration_tokens, durations, number, positive_duration};

const SHAPES: &[&str] = &["fixed", "linear", "exponential", "list"];
const KEYS: &[&str] = &[
    "fixed",
    "linear",
    "exponential",
    "list",
    "first",
    "step",
    "factor",
    "cap",
    "jitter",
    "max_age",
];

/// A retry policy as written, made of calls that a person could write.
pub(crate) struct Backoff {
    shape: Shape,
    cap: Option<Duration>,
    jitter: Option<f64>,
    max_age: Option<Duration>,
}

enum Shape {
    Fixed(Duration),
    Linear { first: Duration, step: Duration },
    Exponential { first: Duration, factor: f64 },
    List(Vec<Duration>),
}

impl Backoff {
    /// `= "30s"` or `(..)`.
    pub(crate) fn read(key: &Ident, input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Token![=]) {
            let shape = Shape::Fixed(duration(key, input)?);
            return Ok(Self {
                shape,
                cap: None,
                jitter: None,
                max_age: None,
            });
        }
        if !input.peek(syn::token::Paren) {
            return Err(Error::new(
                key.span(),
                "`backoff` takes a wait such as `= \"30s\"`, or a shape such as `(exponential, first = \"5s\", factor = 2.0)`",
            ));
        }
        let mut parts = Parts::default();
        let mut mistakes = Mistakes::default();
        in_parentheses(input, |content| {
            Keys::of(KEYS).read(content, &mut mistakes, |key, input| parts.take(key, input))
        })?;
        match mistakes.into_error() {
            Some(error) => Err(error),
            None => parts.assemble(key),
        }
    }

    /// The policy as an expression; `core` is the path of the core.
    pub(crate) fn to_tokens(&self, core: &TokenStream) -> TokenStream {
        let plain = match &self.shape {
            Shape::Fixed(delay) => {
                let delay = duration_tokens(*delay);
                quote!(fixed(#delay))
            }
            Shape::Linear { first, step } => {
                let (first, step) = (duration_tokens(*first), duration_tokens(*step));
                quote!(linear(#first, #step))
            }
            Shape::Exponential { first, factor } => {
                let first = duration_tokens(*first);
                quote!(exponential(#first, #factor))
            }
            Shape::List(delays) => {
                let delays = delays.iter().copied().map(duration_tokens);
                quote!(list([#(#delays),*]))
            }
        };
        let cap = self.cap.map(duration_tokens).map(|cap| quote!(.cap(#cap)));
        let jitter = self.jitter.map(|share| quote!(.jitter(#share)));
        let max_age = self
            .max_age
            .map(duration_tokens)
            .map(|age| quote!(.max_age(#age)));
        quote!(#core::Backoff::#plain #cap #jitter #max_age)
    }
}

/// What was written, before it is known to make sense together.
#[derive(Default)]
struct Parts {
    shapes: Vec<Ident>,
    fixed: Option<Duration>,
    list: Option<Vec<Duration>>,
    first: Option<(Ident, Duration)>,
    step: Option<(Ident, Duration)>,
    factor: Option<(Ident, f64)>,
    cap: Option<Duration>,
    jitter: Option<f64>,
    max_age: Option<Duration>,
}

impl Parts {
    fn take(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        let name = key.to_string();
        if SHAPES.contains(&name.as_str()) {
            if let Some(other) = self.shapes.first() {
                return Err(Error::new(
                    key.span(),
                    format!("`{key}` and `{other}` exclude each other"),
                ));
            }
            self.shapes.push(key.clone());
        }
        match name.as_str() {
            "fixed" => self.fixed = Some(duration(key, input)?),
            "list" => self.list = Some(durations(key, input)?),
            "first" => self.first = Some((key.clone(), duration(key, input)?)),
            "step" => self.step = Some((key.clone(), duration(key, input)?)),
            "factor" => {
                let factor = number(key, input, "a number of at least 1", |factor| factor >= 1.0)?;
                self.factor = Some((key.clone(), factor));
            }
            "cap" => self.cap = Some(positive_duration(key, input, "no job would wait at all")?),
            "jitter" => {
                let share = number(key, input, "a share from 0 to 1", |share| {
                    (0.0..=1.0).contains(&share)
                })?;
                self.jitter = Some(share);
            }
            "max_age" => {
                let because = "no job would be retried; say that with `attempts = 1`";
                self.max_age = Some(positive_duration(key, input, because)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn assemble(self, backoff: &Ident) -> Result<Backoff> {
        let Some(shape) = self.shapes.first() else {
            return Err(Error::new(
                backoff.span(),
                format!("`backoff` needs a shape: one of {}", list(SHAPES)),
            ));
        };
        let name = shape.to_string();
        self.refuse_strangers(&name)?;
        let needs = |key: &str, example: &str| {
            Error::new(
                shape.span(),
                format!("`{name}` needs `{key}`, for example `{key} = {example}`"),
            )
        };
        let first = || {
            self.first
                .as_ref()
                .map(|(_, first)| *first)
                .ok_or_else(|| needs("first", "\"5s\""))
        };
        let step = || {
            self.step
                .as_ref()
                .map(|(_, step)| *step)
                .ok_or_else(|| needs("step", "\"10s\""))
        };
        let factor = || {
            self.factor
                .as_ref()
                .map(|(_, factor)| *factor)
                .ok_or_else(|| needs("factor", "2.0"))
        };
        let shape = match (self.fixed, self.list.clone()) {
            (Some(delay), _) => Shape::Fixed(delay),
            (None, Some(delays)) => Shape::List(delays),
            (None, None) if name == "linear" => Shape::Linear {
                first: first()?,
                step: step()?,
            },
            (None, None) => Shape::Exponential {
                first: first()?,
                factor: factor()?,
            },
        };
        Ok(Backoff {
            shape,
            cap: self.cap,
            jitter: self.jitter,
            max_age: self.max_age,
        })
    }

    /// Refuses a key that belongs to another shape.
    fn refuse_strangers(&self, shape: &str) -> Result<()> {
        let first = self
            .first
            .as_ref()
            .map(|(key, _)| (key, &["linear", "exponential"][..]));
        let step = self.step.as_ref().map(|(key, _)| (key, &["linear"][..]));
        let factor = self
            .factor
            .as_ref()
            .map(|(key, _)| (key, &["exponential"][..]));
        for (key, homes) in [first, step, factor].into_iter().flatten() {
            if !homes.contains(&shape) {
                return Err(Error::new(
                    key.span(),
                    format!("`{key}` goes with {}, not with `{shape}`", list(homes)),
                ));
            }
        }
        Ok(())
    }
}
