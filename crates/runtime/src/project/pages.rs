//! Reading history page by page, from a position on: while one page is folded, the next is read and decoded.
//!
//! Near the end of the log one question brings the news of all families. Who is farther behind has history read to him family
//! by family ([`Scan`]), which costs Redis least, by a task that reads and decodes ahead.

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
    /// What is read by who is far behind.
    ahead: Option<Ahead>,
}

/// The next entries, and whether they are all that there is.
type Page = Result<(Vec<Entry>, bool), Error>;

/// Pages that are read and decoded ahead; the last is the only one that is not full.
#[derive(Debug)]
struct Ahead {
    pages: mpsc::Receiver<Page>,
    task: JoinHandle<()>,
}

impl Pages {
    pub fn after(history: History, families: &'static [Family], after: EventId) -> Self {
        Self { history, partition: after.partition, families, after, ahead: None }
    }

    /// The next entries, and whether they are all that there is. Begun at once for the pages after them, where there are any.
    pub async fn next(&mut self) -> Page {
        let ahead = match &mut self.ahead {
            Some(ahead) => ahead.pages.recv().await,
            None => None,
        };
        let (page, all) = match ahead {
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
        if all {
            self.ahead = None;
        } else if self.ahead.is_none() {
            let range = Range::after(self.after);
            self.ahead = Some(Ahead::of(self.history.scan(self.partition, self.families, range)));
        }
        Ok((page, all))
    }

    /// Reads and decodes one page in a task of its own, so that a worker which has much to do lets others work, too.
    async fn read(&self) -> Page {
        let (history, partition, families) = (self.history.clone(), self.partition, self.families);
        let range = Range::after(self.after);
        let reading = tokio::spawn(async move {
            let page = history.read(partition, families, range, Order::OldestFirst, PAGE).await?;
            let all = page.len() < PAGE;
            Ok((page, all))
        });
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        reading.await.map_err(ended)?
    }
}

impl Ahead {
    fn of(scan: Scan) -> Self {
        let (to, pages) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(error) = tell(scan, &to).await {
                // An error to send means that nobody waits any more.
                drop(to.send(Err(error)).await);
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

/// Passes on what is read, in pages of one size, until its end or until nobody waits any more.
async fn tell(mut scan: Scan, to: &mpsc::Sender<Page>) -> Result<(), Error> {
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
