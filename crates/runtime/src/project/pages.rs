//! Reads history page by page from an offset on; reads and decodes the next page while one is folded.
//!
//! Near the end of the log one query returns the new events of all families. A reader that is far behind reads family by
//! family ([`Scan`]), which costs Redis least, in a task that reads ahead.

use hemostat_log::{Entry, Error, History, Order, Range, Scan};
use hemostat_schema::{EventId, Family, Partition};
use tokio::{sync::mpsc, task::JoinHandle};

/// Events in one page, and so in one commit.
pub(super) const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Pages {
    history: History,
    partition: Partition,
    families: &'static [Family],
    after: EventId,
    /// The pages read ahead, when the reader is far behind.
    ahead: Option<ReadAhead>,
}

/// The next entries, and whether they end at the end of the log.
type Page = Result<(Vec<Entry>, bool), Error>;

/// Pages that a task reads and decodes ahead; all but the last are full.
#[derive(Debug)]
struct ReadAhead {
    pages: mpsc::Receiver<Page>,
    task: JoinHandle<()>,
}

impl Pages {
    pub fn after(history: History, families: &'static [Family], after: EventId) -> Self {
        Self { history, partition: after.partition, families, after, ahead: None }
    }

    /// The next entries, and whether they end at the end of the log. If not, begins to read ahead.
    pub async fn next(&mut self) -> Page {
        let ahead = match &mut self.ahead {
            Some(ahead) => ahead.pages.recv().await,
            None => None,
        };
        let (page, at_end) = match ahead {
            Some(Ok(page)) => page,
            failed => {
                self.ahead = None;
                failed.transpose()?;
                self.read().await?
            }
        };
        if let Some(last) = page.last() {
            self.after = last.id;
        }
        if at_end {
            self.ahead = None;
        } else if self.ahead.is_none() {
            let range = Range::after(self.after);
            self.ahead = Some(ReadAhead::start(self.history.scan(self.partition, self.families, range)));
        }
        Ok((page, at_end))
    }

    /// Reads and decodes one page in a task of its own, so that a busy worker does not block others.
    async fn read(&self) -> Page {
        let (history, partition, families) = (self.history.clone(), self.partition, self.families);
        let range = Range::after(self.after);
        let reading = tokio::spawn(async move {
            let page = history.read(partition, families, range, Order::OldestFirst, PAGE).await?;
            let at_end = page.len() < PAGE;
            Ok((page, at_end))
        });
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        reading.await.map_err(ended)?
    }
}

impl ReadAhead {
    fn start(scan: Scan) -> Self {
        let (to, pages) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(error) = send_pages(scan, &to).await {
                // The receiver is gone when sending fails.
                drop(to.send(Err(error)).await);
            }
        });
        Self { pages, task }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends what the scan reads, in pages of one size, until its end or until the receiver is gone.
async fn send_pages(mut scan: Scan, to: &mpsc::Sender<Page>) -> Result<(), Error> {
    let mut read = Vec::with_capacity(PAGE);
    while let Some(found) = scan.next().await? {
        for entry in &found {
            read.push(entry.decode());
            if read.len() == PAGE {
                let page = std::mem::replace(&mut read, Vec::with_capacity(PAGE));
                if to.send(Ok((page, false))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    drop(to.send(Ok((read, true))).await);
    Ok(())
}
