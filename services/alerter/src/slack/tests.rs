//! Every way in which a webhook can answer, over real HTTP.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::post};
use hemostat_schema::{EventId, NewEvent, Partition, Timestamp, alert::Tested};

use super::*;

/// What the fake answers, in order; the last one for ever.
#[derive(Debug, Clone)]
enum Answer {
    Is(u16, &'static str),
    RetryAfter(&'static str),
    Never,
}

type Calls = Arc<Mutex<Vec<Instant>>>;

async fn fake(script: &[Answer]) -> (SocketAddr, Calls) {
    let calls = Calls::default();
    let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
    let count = Arc::clone(&calls);
    let handler = move || async move {
        count.lock().unwrap().push(Instant::now());
        let next = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        let mut headers = HeaderMap::new();
        headers.insert("location", "/elsewhere".parse().unwrap());
        match next.unwrap() {
            Answer::Is(status, body) => (StatusCode::from_u16(status).unwrap(), headers, body).into_response(),
            Answer::RetryAfter(seconds) => {
                headers.insert("retry-after", seconds.parse().unwrap());
                (StatusCode::TOO_MANY_REQUESTS, headers, "").into_response()
            }
            Answer::Never => std::future::pending().await,
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/services/SECRET", post(handler));
    tokio::spawn(axum::serve(listener, router).into_future());
    (address, calls)
}

fn slack(address: SocketAddr, retry_for: Duration) -> Slack {
    let ms = Duration::from_millis;
    let patience = Patience { timeout: ms(300), retry_for, first: ms(10), cap: ms(1500), quiet: ms(60_000) };
    Slack::new(format!("http://{address}/services/SECRET").into(), patience).unwrap()
}

fn message() -> Message {
    let event = NewEvent::new("h".parse().unwrap(), Timestamp::UNIX_EPOCH, Tested { by: "ann".to_owned() });
    Message::telling(&event.recorded(EventId::start(Partition(0)), &[])).unwrap()
}

async fn send(script: &[Answer], retry_for: Duration) -> (Sent, Vec<Instant>) {
    let (address, calls) = fake(script).await;
    let sent = slack(address, retry_for).send(&message(), || Ok::<_, Infallible>(())).await.unwrap();
    assert!(!format!("{sent:?}").contains("SECRET"), "the address is told: {sent:?}");
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), usize::try_from(sent.attempts).unwrap());
    (sent, calls)
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_passing_failure_is_tried_again_until_it_is_over() {
    for failure in [Answer::Is(500, "oops"), Answer::Is(503, ""), Answer::Is(408, ""), Answer::Never] {
        let (sent, _) = send(&[failure.clone(), failure, Answer::Is(200, "ok")], LONG).await;
        assert_eq!((sent.attempts, sent.error), (3, None));
    }
}

#[tokio::test]
async fn a_final_failure_is_not_tried_again() {
    for (answer, error) in [
        (Answer::Is(404, "no_service"), "it answered 404 Not Found (no_service)"),
        (Answer::Is(400, "invalid_blocks"), "it answered 400 Bad Request (invalid_blocks)"),
        (Answer::Is(403, "Cannot POST /services/SECRET"), "it answered 403 Forbidden"),
        (
            Answer::Is(302, ""),
            "it answered 302 Found, a redirect, which is not followed: the address is not a webhook's",
        ),
    ] {
        let (sent, _) = send(&[answer], LONG).await;
        assert_eq!((sent.attempts, sent.error.as_deref()), (1, Some(error)));
    }
}

#[tokio::test]
async fn the_wait_that_slack_asks_for_is_kept_up_to_a_cap() {
    for (asked, least) in [("1", Duration::from_secs(1)), ("86400", Duration::from_millis(1500))] {
        let (sent, calls) = send(&[Answer::RetryAfter(asked), Answer::Is(200, "ok")], LONG).await;
        assert_eq!((sent.attempts, sent.error), (2, None), "{asked}");
        assert!(calls[1] - calls[0] >= least, "asked for {asked} s, waited {:?}", calls[1] - calls[0]);
    }
}

#[tokio::test]
async fn it_is_not_tried_for_ever() {
    let (sent, _) = send(&[Answer::Is(500, "")], SHORT).await;
    assert!(sent.attempts > 1);
    assert_eq!(sent.error.as_deref(), Some("it answered 500 Internal Server Error"));
    let (sent, _) = send(&[Answer::Never], SHORT).await;
    assert_eq!(sent.error.as_deref(), Some("it did not answer within 300 ms"));
    let (sent, _) = send(&[Answer::RetryAfter("600")], SHORT).await;
    assert_eq!((sent.attempts, sent.error.as_deref()), (1, Some("it answered 429 Too Many Requests")));
}

#[tokio::test]
async fn nobody_listening_is_a_passing_failure() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sent = slack(free, SHORT).send(&message(), || Ok::<_, Infallible>(())).await.unwrap();
    assert!(sent.attempts > 1);
    let error = sent.error.unwrap();
    assert!(error.starts_with("it could not be reached: Connection refused"), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_without_permission() {
    let (address, calls) = fake(&[Answer::Is(500, "")]).await;
    let mut left = 2;
    let permitted = || {
        if left == 0 {
            Err("not ours any more")
        } else {
            left -= 1;
            Ok(())
        }
    };
    assert_eq!(slack(address, LONG).send(&message(), permitted).await, Err("not ours any more"));
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[test]
fn what_is_not_a_web_address_is_refused_without_being_told() {
    for address in ["", "SECRET", "ftp://SECRET/", "https//SECRET"] {
        let error = Slack::new(address.into(), Patience::new(SHORT, SHORT)).unwrap_err().to_string();
        assert!(error.contains("alerts.slack_webhook_url") && !error.contains("SECRET"), "{error}");
    }
}

#[tokio::test]
async fn of_an_answer_without_end_only_the_beginning_is_read() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 16_384]).await;
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {}
    });
    let patience = Patience::new(Duration::from_secs(60), LONG);
    let slack = Slack::new(format!("http://{address}/services/SECRET").into(), patience).unwrap();
    let message = message();
    let sending = slack.send(&message, || Ok::<_, Infallible>(()));
    let sent = tokio::time::timeout(Duration::from_secs(20), sending).await.expect("it reads on").unwrap();
    assert_eq!(sent.error.as_deref(), Some("it answered 404 Not Found"));
}
