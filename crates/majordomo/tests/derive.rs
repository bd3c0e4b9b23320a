//! `#[derive(Task)]`: every attribute ends up where the trait has it.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use majordomo::Task;
use majordomo::core::backoff::Delays;
use majordomo::core::{Backoff, Failure, FailureKind, Tags, TaskSpec, limits};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize, Deserialize)]
struct Receipt {
    number: u64,
}

/// Sends the welcome mail
/// to a new user.
///
/// Slow on Mondays.
///
/// # Errors
/// If the mailer is down.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "mail.welcome", title = "Send welcome", queue = "mail", priority = -5, attempts = 5)]
#[task(backoff(
    exponential,
    first = "5s",
    factor = 2.5,
    cap = "1h",
    jitter = 0.1,
    max_age = "2d"
))]
#[task(timeout = "1m 30s", expires = "1d", retention = "7days", version = 2)]
#[task(aliases("welcome", "mail-welcome"), tags("Email", "notification"))]
#[task(output = Vec<Receipt>, retry_delay = delays::by_attempt)]
struct EverythingSaid {
    to: String,
}

mod delays {
    use super::*;

    pub(crate) fn by_attempt(attempt: u32, failure: &Failure) -> Option<Duration> {
        (failure.kind == FailureKind::Timeout).then(|| Duration::from_secs(u64::from(attempt)))
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        message: "no".to_owned(),
        chain: Vec::new(),
    }
}

#[test]
fn what_is_said_is_in_the_spec_and_the_constants() {
    assert_eq!(EverythingSaid::NAME, "mail.welcome");
    assert_eq!(EverythingSaid::ALIASES, ["welcome", "mail-welcome"]);
    assert_eq!(EverythingSaid::VERSION, 2);
    assert_eq!(
        TypeId::of::<<EverythingSaid as Task>::Output>(),
        TypeId::of::<Vec<Receipt>>()
    );
    let expected = TaskSpec {
        title: Some("Send welcome".to_owned()),
        description: Some("Sends the welcome mail to a new user.\n\nSlow on Mondays.".to_owned()),
        tags: ["email", "notification"].into_iter().collect(),
        queue: "mail".to_owned(),
        priority: -5,
        max_attempts: 5,
        backoff: Backoff::exponential(5 * SECOND, 2.5)
            .cap(3600 * SECOND)
            .jitter(0.1)
            .max_age(2 * DAY),
        timeout: Some(90 * SECOND),
        expires_in: Some(DAY),
        retention: Some(7 * DAY),
    };
    assert_eq!(EverythingSaid::spec(), expected);
    assert_eq!(
        EverythingSaid::retry_delay(3, &failure(FailureKind::Timeout)),
        Some(3 * SECOND)
    );
    assert_eq!(
        EverythingSaid::retry_delay(3, &failure(FailureKind::Error)),
        None
    );
    assert_eq!(
        EverythingSaid {
            to: "ann".to_owned()
        }
        .unique_key(),
        None
    );
}

#[derive(Serialize, Deserialize, Task)]
struct HTTPCall;

#[derive(Serialize, Deserialize, Task)]
struct r#Crawl;

#[test]
fn what_is_not_said_is_as_if_written_by_hand() {
    assert_eq!((HTTPCall::NAME, Crawl::NAME), ("http-call", "crawl"));
    assert!(HTTPCall::ALIASES.is_empty());
    assert_eq!(HTTPCall::VERSION, 1);
    assert_eq!(
        TypeId::of::<<HTTPCall as Task>::Output>(),
        TypeId::of::<()>()
    );
    assert_eq!(HTTPCall::spec(), TaskSpec::default());
    assert_eq!(HTTPCall.unique_key(), None);
    assert_eq!(
        HTTPCall::retry_delay(1, &failure(FailureKind::Timeout)),
        None
    );
}

/// Tasks that say one thing each.
macro_rules! tasks {
    ($($name:ident: $attribute:tt;)*) => {
        $(#[derive(Serialize, Deserialize, Task)] #[task $attribute] struct $name;)*
    };
}

tasks! {
    Short: (backoff = "30s");
    Fixed: (backoff(fixed = "30s", jitter = 1));
    Linear: (backoff(linear, first = "10s", step = "5s", cap = "1m"));
    Exponential: (backoff(exponential, factor = 2, first = "100ms"));
    List: (backoff(list("1s", "5s", "30s"), max_age = "1d"));
    NoSchema: (schema = false);
    Empty: ();
}

#[test]
fn every_form_of_backoff_is_the_one_of_the_core() {
    let table = [
        (Short::spec(), Backoff::fixed(30 * SECOND)),
        (Fixed::spec(), Backoff::fixed(30 * SECOND).jitter(1.0)),
        (
            Linear::spec(),
            Backoff::linear(10 * SECOND, 5 * SECOND).cap(60 * SECOND),
        ),
        (
            Exponential::spec(),
            Backoff::exponential(Duration::from_millis(100), 2.0),
        ),
        (
            List::spec(),
            Backoff::list([SECOND, 5 * SECOND, 30 * SECOND]).max_age(DAY),
        ),
        (Empty::spec(), Backoff::default()),
    ];
    for (spec, expected) in table {
        assert_eq!(
            spec,
            TaskSpec {
                backoff: expected,
                ..TaskSpec::default()
            }
        );
    }
    assert!(matches!(List::spec().backoff.delays, Delays::List(delays) if delays.len() == 3));
}

#[test]
fn a_schema_is_left_out_on_request() {
    assert!(NoSchema::schema().is_none());
    assert!(Empty::schema().is_some());
}

#[test]
fn a_type_made_by_a_macro_is_a_task_too() {
    macro_rules! payload {
        ($name:ident, $content:ty) => {
            #[derive(Serialize, Deserialize, Task)]
            #[task(unique = "{value}")]
            struct $name {
                value: $content,
                #[serde(default)]
                more: Vec<$content>,
            }
        };
    }
    payload!(Made, u64);
    assert_eq!(
        Made {
            value: 7,
            more: Vec::new()
        }
        .unique_key()
        .unwrap(),
        "made/7"
    );
    assert_eq!(
        Made::schema().unwrap()["properties"]["value"]["type"],
        "integer"
    );
}

#[test]
fn the_facade_may_have_another_name() {
    mod jobs {
        pub(crate) mod renamed {
            pub(crate) use majordomo::__private;
        }
    }
    #[derive(Serialize, Deserialize, Task)]
    #[task(crate = "jobs::renamed", unique)]
    struct Quoted {
        to: String,
    }
    #[derive(Serialize, Deserialize, Task)]
    #[task(crate = self::jobs_at_root, schema = false)]
    struct Plain;
    assert_eq!(
        Quoted {
            to: "ann".to_owned()
        }
        .unique_key()
        .unwrap(),
        r#"quoted/{"to":"ann"}"#
    );
    assert!(Quoted::schema().is_some());
    assert_eq!(Plain::NAME, "plain");
}

mod jobs_at_root {
    pub(crate) use majordomo::__private;
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "send{er}", unique = "{{{to}}}:{r#type}/{ count }")]
struct Templated {
    to: String,
    r#type: String,
    count: u8,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{1}-{0}")]
struct Positional(u8, String);

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "one at a {{time}}")]
enum Constant {
    A,
}

#[test]
fn a_template_is_filled_in_after_the_name_of_the_task() {
    let templated = Templated {
        to: "ann".to_owned(),
        r#type: "new".to_owned(),
        count: 3,
    };
    assert_eq!(templated.unique_key().unwrap(), "send{er}/{ann}:new/3");
    assert_eq!(
        Positional(1, "b".to_owned()).unique_key().unwrap(),
        "positional/b-1"
    );
    assert_eq!(
        Constant::A.unique_key().unwrap(),
        "constant/one at a {time}"
    );
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique)]
struct Whole {
    z: HashMap<String, u8>,
    a: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, u128>,
}

fn whole(text: &str, rest: u128) -> Whole {
    let z = (0..8_u8)
        .map(|index| (format!("key {index}"), index))
        .collect();
    Whole {
        z,
        a: Some(text.to_owned()),
        rest: BTreeMap::from([("n".to_owned(), rest)]),
    }
}

#[test]
fn equal_payloads_have_equal_keys_and_others_do_not() {
    let key = whole("ann", 1).unique_key().unwrap();
    assert!(
        key.starts_with(r#"whole/{"a":"ann","n":1,"z":{"key 0":0,"key 1":1,"#),
        "{key}"
    );
    assert_eq!(key, whole("ann", 1).unique_key().unwrap());
    assert_ne!(key, whole("bo", 1).unique_key().unwrap());
    assert_ne!(
        whole("ann", u128::MAX).unique_key(),
        whole("ann", u128::MAX - 1).unique_key()
    );
}

#[test]
fn the_key_of_a_long_payload_fits_a_storage() {
    let long = |end: &str| {
        whole(&format!("{}{end}", "x".repeat(limits::KEY)), 1)
            .unique_key()
            .unwrap()
    };
    limits::check_key("key", &long("a")).unwrap();
    assert_eq!(long("a"), long("a"));
    assert_ne!(long("a"), long("b"));
    limits::check_key("key", &whole("\u{7f}", 1).unique_key().unwrap()).unwrap();
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique)]
struct Unwritable(BTreeMap<(u8, u8), u8>);

#[test]
fn a_payload_that_is_no_json_has_no_key_and_cannot_be_enqueued_either() {
    let payload = Unwritable(BTreeMap::from([((1, 2), 3)]));
    assert_eq!(payload.unique_key(), None);
    assert!(majordomo::core::Payload::json(&payload).is_err());
}

#[test]
fn tags_are_folded_as_the_core_folds_them() {
    assert_eq!(
        EverythingSaid::spec().tags,
        Tags::none().with("email").with("notification")
    );
}
