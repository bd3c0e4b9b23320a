//! Everything that `#[task(..)]` can say, read from as many of them as there are.

use std::time::Duration;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::ParseStream;
use syn::{DeriveInput, Error, LitStr, Path, Result, Type};

use crate::backoff::Backoff;
use crate::keys::{Keys, Mistakes};
use crate::naming::kebab;
use crate::unique::Unique;
use crate::value;

const KEYS: &[&str] = &[
    "name",
    "title",
    "queue",
    "priority",
    "attempts",
    "backoff",
    "timeout",
    "expires",
    "retention",
    "version",
    "aliases",
    "tags",
    "unique",
    "output",
    "retry_delay",
    "schema",
    "crate",
];

/// Tags of a job, as in the core's limits.
const TAGS_LIMIT: usize = 50;

/// What was said; the rest keeps the defaults of the core.
pub(crate) struct Attributes {
    pub(crate) name: LitStr,
    pub(crate) title: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) priority: Option<i16>,
    pub(crate) attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) expires: Option<Duration>,
    pub(crate) retention: Option<Duration>,
    pub(crate) version: Option<u32>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) unique: Option<Unique>,
    pub(crate) output: Option<Type>,
    pub(crate) retry_delay: Option<Path>,
    pub(crate) schema: bool,
    /// The path of the facade.
    pub(crate) facade: TokenStream,
}

impl Attributes {
    /// What the attributes of `task` say. A mistake leaves its key unsaid.
    pub(crate) fn read(task: &DeriveInput, mistakes: &mut Mistakes) -> Self {
        let mut attributes = Self::unsaid(task);
        let mut keys = Keys::of(KEYS);
        for attribute in task
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("task"))
        {
            let read = attribute.parse_args_with(|input: ParseStream<'_>| {
                keys.read(input, mistakes, |key, input| {
                    attributes.take(key, input, task)
                })
            });
            mistakes.keep(read);
        }
        mistakes.keep(attributes.check_names());
        attributes
    }

    fn unsaid(task: &DeriveInput) -> Self {
        Self {
            name: LitStr::new(
                &kebab(task.ident.to_string().trim_start_matches("r#")),
                task.ident.span(),
            ),
            title: None,
            queue: None,
            priority: None,
            attempts: None,
            backoff: None,
            timeout: None,
            expires: None,
            retention: None,
            version: None,
            aliases: Vec::new(),
            tags: Vec::new(),
            unique: None,
            output: None,
            retry_delay: None,
            schema: true,
            facade: quote!(::majordomo),
        }
    }

    fn take(&mut self, key: &Ident, input: ParseStream<'_>, task: &DeriveInput) -> Result<()> {
        let largest = i64::from(u32::MAX);
        match key.to_string().as_str() {
            "name" => self.name = value::name(key, input)?,
            "title" => self.title = Some(value::name(key, input)?),
            "queue" => self.queue = Some(value::name(key, input)?),
            "priority" => {
                self.priority = Some(value::whole(key, input, i16::MIN.into(), i16::MAX.into())?)
            }
            "attempts" => self.attempts = Some(value::whole(key, input, 1, largest)?),
            "backoff" => self.backoff = Some(Backoff::read(key, input)?),
            "timeout" => {
                self.timeout = Some(value::positive_duration(
                    key,
                    input,
                    "every attempt would fail at once",
                )?);
            }
            "expires" => {
                self.expires = Some(value::positive_duration(
                    key,
                    input,
                    "every job would expire before it starts",
                )?);
            }
            "retention" => self.retention = Some(value::duration(key, input)?),
            "version" => self.version = Some(value::whole(key, input, 1, largest)?),
            "aliases" => self.aliases = value::names(key, input)?,
            "tags" => self.tags = tags(key, input)?,
            "unique" => self.unique = Some(Unique::read(key, input, task)?),
            "output" => self.output = Some(output(key, input)?),
            "retry_delay" => self.retry_delay = Some(path(key, input, "the path of a function")?),
            "schema" => self.schema = value::yes_or_no(key, input)?,
            "crate" => {
                let path = path(
                    key,
                    input,
                    "the path of the majordomo crate, such as `\"crate::jobs::majordomo\"`",
                )?;
                self.facade = path.to_token_stream();
            }
            // `Keys` hands on none but those it was made of.
            other => return Err(Error::new(key.span(), format!("`{other}` is not read"))),
        }
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        if self.name.value().is_empty() {
            let mistake = "the type's name gives the task none: add `#[task(name = \"..\")]`";
            return Err(Error::new(self.name.span(), mistake));
        }
        value::check_name("the name", &self.name)?;
        let same = |alias: &&LitStr| alias.value() == self.name.value();
        if let Some(alias) = self.aliases.iter().find(same) {
            let mistake = format!(
                "the alias `{}` is the task's name: aliases are its earlier names",
                alias.value()
            );
            return Err(Error::new(alias.span(), mistake));
        }
        match value::doubled(&self.aliases, str::to_owned) {
            Some(alias) => Err(Error::new(
                alias.span(),
                format!("the alias `{}` is given twice", alias.value()),
            )),
            None => Ok(()),
        }
    }
}

/// `("..", "..")`, which the core trims and folds to lower case.
fn tags(key: &Ident, input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    let tags = value::names(key, input)?;
    if let Some(tag) = value::doubled(&tags, |tag| tag.trim().to_lowercase()) {
        return Err(Error::new(
            tag.span(),
            format!("the tag `{}` is given twice", tag.value()),
        ));
    }
    if let Some(first_over) = tags.get(TAGS_LIMIT) {
        return Err(Error::new(
            first_over.span(),
            format!("{} tags, the limit is {TAGS_LIMIT}", tags.len()),
        ));
    }
    Ok(tags)
}

fn output(key: &Ident, input: ParseStream<'_>) -> Result<Type> {
    let what = "the type that the task returns, such as `Receipt`";
    value::equals(key, input, what)?;
    let span = if input.is_empty() {
        key.span()
    } else {
        input.span()
    };
    input
        .parse()
        .map_err(|_| Error::new(span, format!("`{key}` takes {what}, without quotes")))
}

/// `= a::b` or `= "a::b"`
fn path(key: &Ident, input: ParseStream<'_>, what: &str) -> Result<Path> {
    value::equals(key, input, what)?;
    let span = if input.is_empty() {
        key.span()
    } else {
        input.span()
    };
    let path = if input.peek(LitStr) {
        input
            .parse::<LitStr>()
            .and_then(|text| text.parse_with(Path::parse_mod_style))
    } else {
        input.parse::<Path>()
    };
    path.map_err(|_| Error::new(span, format!("`{key}` takes {what}")))
}
