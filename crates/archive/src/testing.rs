//! For tests here and in other crates: an object store that fails at the n-th request.

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

/// How the n-th request fails. All later requests fail too, as after a crash, until [`FaultyStore::repair`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request has no effect.
    RequestLost,
    /// The request takes effect, but its response is lost.
    ResponseLost,
}

/// A store in memory that fails from its n-th request on.
#[derive(Debug)]
pub struct FaultyStore {
    /// The store behind the faults.
    pub inner: InMemory,
    fault: Fault,
    /// Requests up to and including the first faulty one.
    remaining: AtomicUsize,
}

impl FaultyStore {
    /// Fails at this request, counted from one.
    pub fn new(request: usize, fault: Fault) -> Self {
        Self { inner: InMemory::new(), fault, remaining: AtomicUsize::new(request) }
    }

    /// Serves all further requests.
    pub fn repair(&self) {
        self.remaining.store(usize::MAX / 2, Relaxed);
    }

    /// Whether no request has failed so far.
    pub fn is_intact(&self) -> bool {
        self.remaining.load(Relaxed) > 0
    }

    /// Whether the next request takes effect, and whether its response arrives.
    fn next_request(&self) -> (bool, bool) {
        match self.remaining.fetch_update(Relaxed, Relaxed, |remaining| remaining.checked_sub(1)) {
            Ok(1) => (self.fault == Fault::ResponseLost, false),
            Ok(_) => (true, true),
            Err(_) => (false, false),
        }
    }

    async fn serve<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let (takes_effect, responds) = self.next_request();
        let result = if takes_effect { request.await } else { Err(connection_lost()) };
        if responds { result } else { Err(connection_lost()) }
    }
}

fn connection_lost() -> Error {
    Error::Generic { store: "faulty", source: "the connection broke".into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.serve(self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.serve(self.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.serve(self.inner.get_opts(path, options)).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.serve(self.inner.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.next_request() {
            (true, true) => self.inner.delete_stream(paths),
            _ => futures::stream::once(async { Err(connection_lost()) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.next_request() {
            (true, true) => self.inner.list(prefix),
            _ => futures::stream::once(async { Err(connection_lost()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.serve(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.serve(self.inner.copy_opts(from, to, options)).await
    }
}
