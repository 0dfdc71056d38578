//! Reading history page by page, from a position on: while one page is folded, the next is read and decoded.

use hemostat_log::{Entry, Error, History, Order, Range, RawEntry};
use hemostat_schema::{EventId, Family, Partition};
use tokio::task::JoinHandle;

/// Events in one page, and so in one commit.
pub(super) const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Pages {
    history: History,
    partition: Partition,
    families: &'static [Family],
    after: EventId,
    ahead: Option<JoinHandle<Result<Vec<Entry>, Error>>>,
}

impl Pages {
    pub fn after(history: History, families: &'static [Family], after: EventId) -> Self {
        Self { history, partition: after.partition, families, after, ahead: None }
    }

    /// The next entries, and whether they are all that there is. Begun at once for the page after them, where there is one.
    pub async fn next(&mut self) -> Result<(Vec<Entry>, bool), Error> {
        let reading = self.ahead.take().unwrap_or_else(|| self.read());
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        let page = reading.await.map_err(ended)??;
        if let Some(last) = page.last() {
            self.after = last.id;
        }
        let all = page.len() < PAGE;
        if !all {
            self.ahead = Some(self.read());
        }
        Ok((page, all))
    }

    fn read(&self) -> JoinHandle<Result<Vec<Entry>, Error>> {
        let (history, partition, families) = (self.history.clone(), self.partition, self.families);
        let range = Range::after(self.after);
        tokio::spawn(async move {
            let raw = history.raw(partition, families, range, Order::OldestFirst, PAGE).await?;
            Ok(raw.iter().map(RawEntry::decode).collect())
        })
    }
}
