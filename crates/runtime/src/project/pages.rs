//! Reading history page by page, from a position on: while one page is folded, the next is read and decoded.
//!
//! Near the end of the log one question brings the news of all families. Who is far behind has history read to him family
//! by family ([`Scan`]), which costs Redis least, by a task that reads and decodes ahead.

use hemostat_log::{Entry, Error, History, Order, Range, RawEntry, Scan};
use hemostat_schema::{EventId, Family, Partition};
use tokio::{sync::mpsc, task::JoinHandle};

/// Events in one page, and so in one commit; hardly more, where all families have that many.
pub(super) const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Pages {
    history: History,
    partition: Partition,
    families: &'static [Family],
    after: EventId,
    /// What is read by who is far behind.
    ahead: Option<Ahead>,
}

/// Pages that are read and decoded ahead.
#[derive(Debug)]
struct Ahead {
    pages: mpsc::Receiver<Result<Vec<Entry>, Error>>,
    task: JoinHandle<()>,
}

impl Pages {
    pub fn after(history: History, families: &'static [Family], after: EventId) -> Self {
        Self { history, partition: after.partition, families, after, ahead: None }
    }

    /// The next entries, and whether they are all that there is.
    pub async fn next(&mut self) -> Result<(Vec<Entry>, bool), Error> {
        let (page, all) = match self.ahead().await.transpose()? {
            Some(page) => (page, false),
            None => {
                let range = Range::after(self.after);
                let page = self.history.read(self.partition, self.families, range, Order::OldestFirst, PAGE).await?;
                let all = page.len() < PAGE;
                (page, all)
            }
        };
        if let Some(last) = page.last() {
            self.after = last.id;
        }
        if !all && self.ahead.is_none() {
            self.ahead = Some(Ahead::of(self.history.scan(self.partition, self.families, Range::after(self.after))));
        }
        Ok((page, all))
    }

    /// The next page of what is read ahead; none where nothing is, or no longer.
    async fn ahead(&mut self) -> Option<Result<Vec<Entry>, Error>> {
        let page = self.ahead.as_mut()?.pages.recv().await;
        if !matches!(page, Some(Ok(_))) {
            self.ahead = None;
        }
        page
    }
}

impl Ahead {
    fn of(mut scan: Scan) -> Self {
        let (to, pages) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(page) = scan.next().await.transpose() {
                let decoded = page.map(|page| page.iter().map(RawEntry::decode).collect());
                if to.send(decoded).await.is_err() {
                    return;
                }
            }
        });
        Self { pages, task }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}
