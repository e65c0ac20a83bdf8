//! A blob on its way from a registry to an unnamed file: no byte more than was promised. It
//! verifies no digest.

use std::fs::File;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A file that takes as many bytes as were promised and no more. Writing to a local file does not
/// wait for anybody, so it is done within the poll.
pub(super) struct Spool {
    pub file: File,
    /// Bytes still to come.
    pub left: u64,
}

impl tokio::io::AsyncWrite for &mut Spool {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more bytes arrive than the manifest promises",
            )));
        };
        let written = self.file.write_all(bytes);
        self.left = left;
        Poll::Ready(written.map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
