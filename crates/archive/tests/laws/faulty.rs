//! An object store that does not do, or does and does not say so, what it is asked the n-th time.

use std::{
    fmt,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// What happens at the n-th request; all requests after it fail, as after a crash, until [`Faulty::heal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    NotDone,
    /// It is done, and the answer is lost.
    AnswerLost,
}

/// Fails from one request on.
#[derive(Debug)]
pub struct Faulty {
    pub inner: InMemory,
    fault: Fault,
    /// Requests until then.
    left: AtomicUsize,
}

impl Faulty {
    pub fn new(requests: usize, fault: Fault) -> Self {
        Self { inner: InMemory::new(), fault, left: AtomicUsize::new(requests) }
    }

    /// Fails no more.
    pub fn heal(&self) {
        self.left.store(usize::MAX / 2, Relaxed);
    }

    /// Whether the fault has not come yet.
    pub fn is_whole(&self) -> bool {
        self.left.load(Relaxed) > 0
    }

    /// Whether to do it, and whether to say so.
    fn ask(&self) -> (bool, bool) {
        match self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(1) => (self.fault == Fault::AnswerLost, false),
            Ok(_) => (true, true),
            Err(_) => (false, false),
        }
    }

    async fn asked<T>(&self, does: impl Future<Output = Result<T>>) -> Result<T> {
        let (done, said) = self.ask();
        let result = if done { does.await } else { Err(broken()) };
        if said { result } else { Err(broken()) }
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "the connection broke".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.asked(self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.asked(self.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.asked(self.inner.get_opts(path, options)).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.asked(self.inner.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.ask() {
            (true, true) => self.inner.delete_stream(paths),
            _ => futures::stream::once(async { Err(broken()) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask() {
            (true, true) => self.inner.list(prefix),
            _ => futures::stream::once(async { Err(broken()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.asked(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.asked(self.inner.copy_opts(from, to, options)).await
    }
}
