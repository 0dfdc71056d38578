//! Reading page after page over HTTP gives every matching event exactly once, in order.

use hemostat_core::testing::{self, at, run};
use hemostat_schema::NewEvent;

use crate::server::{Server, logged};

async fn walk(server: &Server, query: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (vec![], String::new());
    loop {
        let page = server.read(&format!("/events?limit={limit}{query}{cursor}")).await;
        let events = page["events"].as_array().unwrap();
        assert!(events.len() <= limit);
        ids.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_add_up_to_all_matching_events() {
    let history: Vec<NewEvent> = (0..23)
        .map(|n| {
            let key = format!("host-{}/c{}", n % 3, n % 2);
            let what = if n % 4 == 0 { testing::reached(run(0)).into() } else { testing::started(0).event };
            NewEvent::new(key.parse().unwrap(), at(n), what)
        })
        .collect();
    let (log, ids) = logged(4, history.clone()).await;
    let server = Server::on(log).await;
    type Matches = fn(usize) -> bool;
    let queries: [(&str, Matches); 7] = [
        ("", |_| true),
        ("&host=host-1", |n| n % 3 == 1),
        ("&container=c1", |n| n % 2 == 1),
        ("&container=host-2/c0", |n| n % 3 == 2 && n % 2 == 0),
        ("&family=diagnosis", |n| n % 4 == 0),
        ("&kind=observation.started&host=host-0", |n| n % 4 != 0 && n % 3 == 0),
        ("&kind=alert.raised", |_| false),
    ];
    for (query, matches) in queries {
        let mut expected: Vec<String> = (0..ids.len()).filter(|n| matches(*n)).map(|n| ids[n].to_string()).collect();
        for limit in [1, 2, 5, 23, 1000] {
            let walked = walk(&server, &format!("{query}&order=oldest"), limit).await;
            assert_eq!(walked, expected, "{query} by {limit}, oldest first");
        }
        expected.reverse();
        for limit in [1, 4, 23] {
            assert_eq!(walk(&server, query, limit).await, expected, "{query} by {limit}, newest first");
        }
    }
}

#[tokio::test]
async fn from_is_inclusive_and_to_is_exclusive() {
    let (log, ids) = logged(1, (0..5).map(testing::started)).await;
    let server = Server::on(log).await;
    let check = async |query: &str, expected: &[usize]| {
        let expected: Vec<_> = expected.iter().map(|n| ids[*n].to_string()).collect();
        assert_eq!(walk(&server, &format!("{query}&order=oldest"), 2).await, expected, "{query}");
    };
    // The log's clock gave the first event the first millisecond.
    check(&format!("&from={}&to={}", ids[1], ids[3]), &[1, 2]).await;
    check("&from=2026-01-01T00:00:00.004Z", &[3, 4]).await;
    check("&to=2026-01-01T00:00:00.003Z", &[0, 1]).await;
    check("&to=2026-01-01T01:00:00.003%2B01:00", &[0, 1]).await;
    check("&from=2027-01-01T00:00:00Z", &[]).await;
}

#[tokio::test]
async fn a_cursor_never_leaves_the_window() {
    let (log, ids) = logged(1, (0..5).map(testing::started)).await;
    let server = Server::on(log).await;
    let check = async |query: String, expected: &[usize]| {
        let page = server.read(&format!("/events?{query}")).await;
        let found: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
        assert_eq!(found, expected.iter().map(|n| ids[*n].to_string()).collect::<Vec<_>>(), "{query}");
    };
    check(format!("order=oldest&cursor={}", ids[3]), &[4]).await;
    check(format!("order=oldest&from={}&cursor={}", ids[2], ids[0]), &[2, 3, 4]).await;
    check(format!("order=oldest&to={}&cursor={}", ids[2], ids[4]), &[]).await;
    check(format!("order=newest&from={}&cursor={}", ids[2], ids[4]), &[3, 2]).await;
    check(format!("order=newest&from={}&cursor={}", ids[2], ids[0]), &[]).await;
}
