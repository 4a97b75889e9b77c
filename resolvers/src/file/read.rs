//! The bytes of a file: no more than they may be, and none that are half written.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::clock;

/// The longest file.
const MOST: u64 = 4 << 20;

/// How long a text has to stay the same before it is taken.
const SETTLE: Duration = Duration::from_millis(50);

/// How often a text is read that is another one each time.
const SETTLINGS: u32 = 40;

/// How long one reading may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads one file.
#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// One reading at a time: one of a file system that hangs does not end, and each holds a thread.
    one: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, one: Arc::new(Semaphore::new(1)) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file, once they are those of before, or two readings in succession agree.
    ///
    /// # Errors
    /// If there is nothing to be read, or it changes all the time.
    pub(super) async fn settled(&self, before: &[u8]) -> Result<Vec<u8>, String> {
        let mut last = self.once().await;
        for _ in 0..SETTLINGS {
            if last.as_ref().is_ok_and(|text| text == before && !text.is_empty()) {
                return last;
            }
            clock::sleep(SETTLE).await;
            let next = self.once().await;
            if next == last {
                return match next {
                    Ok(text) if text.is_empty() => {
                        Err("is empty; if there are no actors, have it say so in a comment".to_owned())
                    }
                    settled => settled,
                };
            }
            last = next;
        }
        Err(format!(
            "changes all the time: {SETTLINGS} readings, {SETTLE:?} from each other, were all different"
        ))
    }

    async fn once(&self) -> Result<Vec<u8>, String> {
        let Some(Ok(permit)) = clock::within(PATIENCE, self.one.clone().acquire_owned()).await else {
            return Err("is being read since long ago, which does not end".to_owned());
        };
        let path = self.path.clone();
        let reading = clock::spawn_blocking(move || {
            let _permit = permit;
            read(&path)
        });
        match clock::within(PATIENCE, reading).await {
            Some(Ok(Ok(text))) => Ok(text),
            Some(Ok(Err(error))) => Err(format!("cannot be read: {error}")),
            Some(Err(error)) => Err(format!("cannot be read: {error}")),
            None => Err(format!("is not read within {PATIENCE:?}")),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for whoever writes to it.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MOST} bytes")));
    }
    Ok(text)
}
