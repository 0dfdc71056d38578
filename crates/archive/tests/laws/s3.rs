//! An S3-compatible store over a real socket: a fake that supports conditional writes and lists objects in short pages.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hemostat_archive::{Archive, Error};
use hemostat_log::{Archive as _, Order, Range, chain::Link};
use object_store::{aws::AmazonS3Builder, prefix::PrefixStore};

use super::{FAMILY, P, events, seal, sealed};

/// Objects by key.
type Bucket = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// Keys per page of a listing.
const PAGE: usize = 3;

async fn answer(
    State(bucket): State<Bucket>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut objects = bucket.lock().unwrap();
    let signed =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"));
    if !signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    let key = uri.path().trim_start_matches("/bucket").trim_start_matches('/').to_owned();
    let tagged =
        |bytes: Bytes| ([(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Thu, 01 Jan 2026 00:00:00 GMT")], bytes);
    match method {
        Method::PUT if headers.contains_key(header::IF_NONE_MATCH) && objects.contains_key(&key) => {
            StatusCode::PRECONDITION_FAILED.into_response()
        }
        Method::PUT => {
            objects.insert(key, body);
            tagged(Bytes::new()).into_response()
        }
        Method::GET if query.contains_key("list-type") => list(&objects, &query).into_response(),
        Method::GET => match objects.get(&key) {
            Some(bytes) => tagged(bytes.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        // One request can delete several objects.
        Method::POST if query.contains_key("delete") => {
            let named = String::from_utf8_lossy(&body).into_owned();
            let gone: Vec<String> =
                objects.keys().filter(|key| named.contains(&format!("<Key>{key}</Key>"))).cloned().collect();
            gone.iter().for_each(|key| drop(objects.remove(key)));
            let with_sources: String = gone.iter().map(|key| format!("<Deleted><Key>{key}</Key></Deleted>")).collect();
            format!("<DeleteResult>{with_sources}</DeleteResult>").into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn list(objects: &BTreeMap<String, Bytes>, query: &HashMap<String, String>) -> String {
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let after = asked("continuation-token").max(asked("start-after"));
    let mut found = objects.iter().filter(|(key, _)| key.starts_with(asked("prefix")) && key.as_str() > after);
    let page: Vec<(&String, &Bytes)> = found.by_ref().take(PAGE).collect();
    let contents: String = page
        .iter()
        .map(|(key, bytes)| {
            let (size, when) = (bytes.len(), "2026-01-01T00:00:00.000Z");
            format!("<Contents><Key>{key}</Key><LastModified>{when}</LastModified><ETag>1</ETag><Size>{size}</Size></Contents>")
        })
        .collect();
    let next = match (found.next(), page.last()) {
        (Some(_), Some((last, _))) => {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>")
        }
        _ => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    format!("<ListBucketResult>{contents}{next}</ListBucketResult>")
}

/// An archive at this endpoint.
fn archive(endpoint: &str) -> Archive {
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_region("anywhere")
        .with_access_key_id("key")
        .with_secret_access_key("s3cret")
        .with_retry(object_store::RetryConfig { max_retries: 0, ..Default::default() })
        .build()
        .unwrap();
    Archive::new(Arc::new(PrefixStore::new(store, "prod/hemostat")))
}

#[tokio::test]
async fn events_are_sealed_into_and_read_from_an_s3_compatible_store() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bucket = Bucket::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(bucket.clone());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let history = events(1..=10);
    // Sealing deletes the left-over file of a failed attempt.
    let left_over = "prod/hemostat/3/action/000000000000001-0000000001_000000000000009-0000000000.parquet";
    bucket.lock().unwrap().insert(left_over.to_owned(), Bytes::from_static(b"half"));
    sealed(&archive(&endpoint), &history, &[2, 2, 2, 2, 2]).await;
    let names: Vec<String> = bucket.lock().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 10, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("prod/hemostat/3/action/") && name != left_over), "{names:?}");

    let reader = archive(&endpoint);
    let read = reader.raw(P, &[FAMILY], Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(read, history);
    reader.verify_chain(P, FAMILY).await.unwrap();
    // A process that has not read the index is refused by the store's conditional write.
    let again = seal(&archive(&endpoint), history[..1].to_vec(), Link::default()).await;
    assert!(matches!(again, Err(Error::AlreadySealed { .. })), "{again:?}");

    server.abort();
    let _ = server.await;
    let error = archive(&endpoint).newest(P, FAMILY).await.unwrap_err();
    assert!(error.is_transient() && !error.with_sources().contains("s3cret"), "{}", error.with_sources());
}
