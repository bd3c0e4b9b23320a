//! Trials of documents: conditions, versions, their end, and listing by prefix.

use majordomo_core::{Document, If, Page, Put};
use serde_json::{Value, json};

use super::steps::must;
use crate::samples::{MINUTE, keys, put};
use crate::subject::Subject;

pub(super) async fn a_document_comes_back_as_it_was_put(subject: Subject) {
    let values = [
        json!({"a": [1, 0.5, "ü", null, {"b": true}], "n": u64::MAX}),
        json!(null),
        json!([]),
        json!("x"),
    ];
    for (index, value) in values.into_iter().enumerate() {
        let key = format!("task/{index}/ключ %_'\"");
        let (stored, window) = subject.timed(subject.put(put(&key, value.clone()))).await;
        assert!(window.holds(stored.created_at));
        let expected = Document {
            key: key.clone(),
            value,
            version: 1,
            created_at: stored.created_at,
            changed_at: stored.created_at,
            expires: None,
        };
        assert_eq!(stored, expected);
        assert_eq!(
            must(subject.storage.get_document(&key)).await,
            Some(expected)
        );
    }
    assert_eq!(must(subject.storage.get_document("none")).await, None);
}

pub(super) async fn every_put_grows_the_version_by_one(subject: Subject) {
    let first = subject.put(put("k", 0)).await;
    for version in 2..5 {
        subject.advance(MINUTE).await;
        let (next, window) = subject.timed(subject.put(put("k", version))).await;
        assert_eq!((next.version, next.created_at), (version, first.created_at));
        assert!(window.holds(next.changed_at));
    }
}

async fn put_if(subject: &Subject, condition: If, value: u64) -> Result<u64, Option<u64>> {
    let put = Put {
        condition,
        ..put("k", value)
    };
    must(subject.storage.put_document(put))
        .await
        .map(|document| document.version)
}

pub(super) async fn a_put_whose_condition_is_not_met_changes_nothing(subject: Subject) {
    assert_eq!(put_if(&subject, If::Version(1), 1).await, Err(None));
    assert_eq!(must(subject.storage.get_document("k")).await, None);
    assert_eq!(put_if(&subject, If::Absent, 2).await, Ok(1));
    assert_eq!(put_if(&subject, If::Absent, 3).await, Err(Some(1)));
    assert_eq!(put_if(&subject, If::Version(2), 4).await, Err(Some(1)));
    assert_eq!(put_if(&subject, If::Version(0), 5).await, Err(Some(1)));
    let before = must(subject.storage.get_document("k"))
        .await
        .expect("it is there");
    assert_eq!(before.value, json!(2));
    assert_eq!(put_if(&subject, If::Version(1), 6).await, Ok(2));
    assert_eq!(
        put_if(&subject, If::Version(1), 7).await,
        Err(Some(2)),
        "the same again comes too late"
    );
    assert_eq!(put_if(&subject, If::Any, 8).await, Ok(3));
}

pub(super) async fn a_document_disappears_when_its_time_is_over(subject: Subject) {
    let living = |value: u64| Put {
        ttl: Some(10 * MINUTE),
        ..put("presence/a", value)
    };
    let (stored, window) = subject.timed(subject.put(living(1))).await;
    assert!(window.after(10 * MINUTE).holds(stored.expires));
    subject.advance(9 * MINUTE).await;
    assert_eq!(
        must(subject.storage.get_document("presence/a")).await,
        Some(stored)
    );
    subject.advance(MINUTE).await;
    assert_eq!(must(subject.storage.get_document("presence/a")).await, None);
    assert_eq!(
        must(subject.storage.list_documents("", None, 10))
            .await
            .items,
        []
    );
    assert!(!must(subject.storage.remove_document("presence/a")).await);
    let stale = Put {
        condition: If::Version(1),
        ..living(2)
    };
    assert_eq!(must(subject.storage.put_document(stale)).await, Err(None));
    let fresh = Put {
        condition: If::Absent,
        ..living(3)
    };
    let (fresh, window) = subject.timed(subject.put(fresh)).await;
    assert_eq!(fresh.version, 1, "it is another document");
    assert!(window.holds(fresh.created_at));
}

pub(super) async fn each_put_says_anew_how_long_a_document_lives(subject: Subject) {
    let ttl = |ttl| Put { ttl, ..put("k", 1) };
    subject.put(ttl(Some(10 * MINUTE))).await;
    subject.advance(9 * MINUTE).await;
    subject.put(ttl(Some(10 * MINUTE))).await;
    subject.advance(9 * MINUTE).await;
    assert!(must(subject.storage.get_document("k")).await.is_some());
    assert_eq!(subject.put(ttl(None)).await.expires, None);
    subject.advance(1000 * MINUTE).await;
    assert!(must(subject.storage.get_document("k")).await.is_some());
}

pub(super) async fn a_removed_document_is_gone(subject: Subject) {
    subject.put(put("k", 1)).await;
    subject.put(put("kk", 1)).await;
    assert!(must(subject.storage.remove_document("k")).await);
    assert!(!must(subject.storage.remove_document("k")).await);
    assert_eq!(must(subject.storage.get_document("k")).await, None);
    assert!(must(subject.storage.get_document("kk")).await.is_some());
    assert_eq!(subject.put(put("k", 2)).await.version, 1);
}

async fn listed(subject: &Subject, prefix: &str) -> Vec<String> {
    let page = must(subject.storage.list_documents(prefix, None, 100)).await;
    assert_eq!(page.next, None);
    keys(&page.items).into_iter().map(str::to_owned).collect()
}

pub(super) async fn a_list_holds_what_begins_with_the_prefix_in_order(subject: Subject) {
    let all = [
        "a", "a/b", "a/b/c", "a/é", "a/ü", "aa", "b", "A", "a%", "a_", "ab_c", "é", "a/日本",
        "a/🎉", "a/Z",
    ];
    for key in all {
        subject.put(put(key, Value::Null)).await;
    }
    let expected = |prefix: &str| {
        let mut expected: Vec<String> = all
            .iter()
            .filter(|key| key.starts_with(prefix))
            .map(|key| (*key).to_owned())
            .collect();
        expected.sort();
        expected
    };
    for prefix in [
        "", "a", "a/", "a%", "a_", "a/b", "A", "none", "é", "a/🎉", "ab", "a/日",
    ] {
        assert_eq!(
            listed(&subject, prefix).await,
            expected(prefix),
            "prefix `{prefix}`"
        );
    }
}

pub(super) async fn a_list_goes_in_pages_by_key(subject: Subject) {
    for index in 0..10 {
        subject.put(put(&format!("in/{index}"), index)).await;
        subject.put(put(&format!("out/{index}"), index)).await;
    }
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    for round in 0..100 {
        let Page { items, next } =
            must(subject.storage.list_documents("in/", after.as_deref(), 3)).await;
        seen.extend(keys(&items).into_iter().map(str::to_owned));
        let Some(next) = next else { break };
        assert_eq!(Some(&next), seen.last());
        // One comes in before the place of the listing, one behind it goes.
        subject.put(put(&format!("in/0/{round}"), round)).await;
        must(subject.storage.remove_document("in/9")).await;
        after = Some(next);
    }
    let expected: Vec<_> = (0..9).map(|index| format!("in/{index}")).collect();
    assert_eq!(seen, expected);
}

pub(super) async fn a_list_may_begin_behind_any_key(subject: Subject) {
    for key in ["b/1", "b/2", "c"] {
        subject.put(put(key, 1)).await;
    }
    let list = async |after: &str, limit: usize| {
        let page = must(subject.storage.list_documents("b/", Some(after), limit)).await;
        keys(&page.items).join(" ")
    };
    assert_eq!(list("a", 9).await, "b/1 b/2");
    assert_eq!(list("b/1", 9).await, "b/2");
    assert_eq!(list("b/1x", usize::MAX).await, "b/2");
    assert_eq!(list("b/2", 9).await, "");
    assert_eq!(list("z", 9).await, "");
    assert_eq!(list("a", 0).await, "");
}

pub(super) async fn documents_and_jobs_do_not_meet(subject: Subject) {
    let id = subject.add(crate::samples::job()).await;
    subject.put(put(&id.to_string(), 1)).await;
    subject
        .finish(
            crate::samples::job_of("other"),
            majordomo_core::Verdict::Completed,
        )
        .await;
    assert_eq!(subject.remove(&majordomo_core::Filter::all()).await, 1);
    assert_eq!(listed(&subject, "").await, [id.to_string()]);
    must(subject.storage.remove_document(&id.to_string())).await;
    assert_eq!(subject.job(id).await.id, id);
}
