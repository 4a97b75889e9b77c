//! A TOML file, reloaded when it changes.
//!
//! ```text
//!   file ──read, each second──► bytes, the same as before? ──table──► namespaces, names, endpoints
//!                                  └─ another text: read again until it stays the same
//! ```

mod read;
mod table;

use std::{convert::Infallible, fmt, path::Path, time::Duration};

use actor_runtime::{BoxFuture, Namespace, ResolveResult};
use read::Reader;
use table::Table;

use crate::{
    ViewOptions, clock,
    view::{BoxError, Publisher, Source, Views, resolves_by_views},
};

/// Finds actors in a TOML file. It is read each second ([`poll_every`](Self::poll_every)), and what it says is so from then
/// on.
///
/// ```toml
/// # What stands here is of the namespace `<local>`.
/// [calc]
/// endpoints = ["10.0.0.1:7000", "calc-2.example:7000"]
///
/// # `name` is the name that the actor has there; without it, it is the one that is asked for.
/// [store]
/// endpoints = [
///     { address = "10.0.0.1:7000", name = "store-a", metadata = { zone = "a" } },
///     { address = "10.0.0.2:7000", name = "store-b", metadata = { zone = "b" } },
/// ]
///
/// [namespaces.training.calc]
/// endpoints = ["10.0.1.1:7000"]
/// ```
///
/// An actor that is called `namespaces` is written `[namespaces."<local>".namespaces]`.
///
/// An entry that is none is told in [`rejected`](ResolveResult::rejected), as is a key that is not known, and does not spoil
/// the others. A file that is missing, empty, longer than 4 MiB, no TOML, or no file at all is a failure, and says where it is
/// wrong; the last good file serves meanwhile, with its age, as [`ViewOptions`] say.
///
/// Write a new file beside it and rename that one, and nobody sees half of it. What is written in place is taken when two
/// readings, 50 ms from each other, are the same. Clones share what they know.
///
/// ```
/// # use actor_runtime::{Namespace, Resolver};
/// use actor_resolvers::FileResolver;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("actors-{}.toml", std::process::id()));
/// std::fs::write(&path, "[calc]\nendpoints = [\"127.0.0.1:7000\"]")?;
/// let file = FileResolver::new(&path);
/// let found = file.resolve(&Namespace::local(), "calc").await?;
/// assert_eq!(found.first().unwrap().to_string(), "actor://127.0.0.1:7000/calc");
/// # std::fs::remove_file(&path)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FileResolver {
    file: File,
    options: ViewOptions,
    views: Views<File>,
}

resolves_by_views!(FileResolver);

impl FileResolver {
    /// Reads the file at this path. It need not be there yet; a relative path is one of the present working directory.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = File { reader: Reader::new(path), poll_every: Duration::from_secs(1) };
        // A file costs nothing to be tried again.
        Self::over(file, ViewOptions::default().retry(Duration::from_millis(200), Duration::from_secs(1)))
    }

    fn over(file: File, options: ViewOptions) -> Self {
        // With a reader of its own, since one reads for one view.
        let own = File { reader: Reader::new(file.reader.path().to_owned()), ..file };
        Self { views: Views::new(own.clone(), options.clone()), file: own, options }
    }

    /// How often the file is read; each second unless this is called, and never more often than each 10 ms.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.file.poll_every = time.max(Duration::from_millis(10));
        Self::over(self.file, self.options)
    }

    /// As it was, with these times.
    #[must_use]
    pub fn options(self, options: ViewOptions) -> Self {
        Self::over(self.file, options)
    }
}

/// `the file "/etc/actors.toml"`.
impl fmt::Debug for FileResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

#[derive(Clone)]
struct File {
    reader: Reader,
    poll_every: Duration,
}

/// What the file said.
struct Said {
    text: Vec<u8>,
    table: Table,
}

impl File {
    async fn follow(&self, publisher: &Publisher<Said>) -> Result<Infallible, BoxError> {
        loop {
            let last = publisher.last();
            let before = last.as_ref().map_or(&[][..], |said| &said.text);
            let text = self.reader.settled(before).await.map_err(|error| format!("{self:?} {error}"))?;
            if last.is_some() && text == before {
                publisher.confirm();
            } else {
                let read =
                    clock::spawn_blocking(move || table::read(&text).map(|table| Said { text, table }));
                publisher.set(read.await?.map_err(|error| format!("{self:?} {error}"))?);
            }
            clock::sleep(self.poll_every).await;
        }
    }
}

impl Source for File {
    /// One reading answers all questions.
    type Key = ();
    type State = Said;

    fn key(&self, _: &Namespace, _: &str) -> Result<(), BoxError> {
        Ok(())
    }

    fn follow<'a>(&'a self, (): &'a (), publisher: &'a Publisher<Said>) -> BoxFuture<'a, BoxError> {
        Box::pin(async move {
            let Err(error) = self.follow(publisher).await;
            error
        })
    }

    fn good_for(&self) -> Option<Duration> {
        // A file that changes is read for some seconds.
        Some(self.poll_every.saturating_add(Duration::from_secs(5)).saturating_mul(2))
    }

    fn answer(&self, said: &Said, namespace: &Namespace, name: &str) -> ResolveResult {
        said.table.answer(namespace, name)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file {:?}", self.reader.path())
    }
}
