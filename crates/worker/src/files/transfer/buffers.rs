//! Memory for transfers, in pieces that are reused.
//!
//! The pieces do not come from the allocator each time. An allocator keeps freed memory for the thread that allocated it,
//! and a large file is read by many threads in turn: each of them would keep as much memory as the worker needs.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::turns::Holding;
use crate::threads::lock;

/// The size of each piece. Larger content is in several pieces.
pub(in crate::files) const PIECE: usize = 1 << 20;

/// The unused pieces. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::files) struct Buffers {
    idle: Arc<Mutex<Vec<Box<[u8]>>>>,
    /// The most unused pieces to keep.
    limit: usize,
}

/// One piece and the length of its content. The piece is reused after drop.
#[derive(Debug)]
pub(in crate::files) struct Buffer {
    piece: Box<[u8]>,
    length: usize,
    buffers: Buffers,
    /// Returned when the last buffer that holds it is dropped.
    _memory: Arc<Holding>,
}

impl Buffers {
    pub(in crate::files) fn new(limit: usize) -> Self {
        Self { idle: Arc::default(), limit }
    }

    #[cfg(test)]
    pub(in crate::files) fn idle(&self) -> usize {
        lock(&self.idle).len()
    }

    /// Returns an empty buffer.
    pub(in crate::files) fn lend(&self, memory: &Arc<Holding>) -> Buffer {
        let idle = lock(&self.idle).pop();
        let piece = idle.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice());
        Buffer { piece, length: 0, buffers: self.clone(), _memory: memory.clone() }
    }

    /// Reads a part of a file. Blocks.
    pub(in crate::files) fn read(
        &self,
        file: &File,
        range: Range<u64>,
        memory: Holding,
    ) -> io::Result<Vec<Bytes>> {
        let (memory, end) = (Arc::new(memory), range.end);
        let starts = range.step_by(PIECE);
        let read = starts.map(|start| {
            let mut buffer = self.lend(&memory);
            file.read_exact_at(buffer.room((end - start).min(PIECE as u64) as usize), start)?;
            Ok(Bytes::from_owner(buffer))
        });
        read.collect()
    }
}

impl Buffer {
    /// Extends the content by this many bytes, and returns them for writing. They must fit into the rest of the piece.
    pub(in crate::files) fn room(&mut self, more: usize) -> &mut [u8] {
        let filled = self.length;
        self.length += more;
        &mut self.piece[filled..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.piece[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = lock(&self.buffers.idle);
        if idle.len() < self.buffers.limit {
            idle.push(std::mem::take(&mut self.piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::FutureExt;

    use super::super::shares::{Amount, TaskNumber};
    use super::super::turns::Transfers;
    use super::*;

    fn transfers(pieces: usize) -> Transfers {
        let all = Amount { places: 8, pieces };
        Transfers::new(all, all)
    }

    async fn memory(transfers: &Transfers, pieces: usize) -> Holding {
        transfers.turn(TaskNumber(1), pieces).await.memory
    }

    fn places(buffers: &Buffers) -> Vec<*const u8> {
        lock(&buffers.idle).iter().map(|piece| piece.as_ptr()).collect()
    }

    #[tokio::test]
    async fn pieces_are_reused() {
        let content: Vec<u8> = (0..3 * PIECE + 5).map(|number| (number / 7) as u8).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&content).expect("written");
        let (transfers, buffers) = (transfers(4), Buffers::new(4));
        let mut used = Vec::new();
        for from in [0, 3, PIECE, 0] {
            let memory = memory(&transfers, 4).await;
            let read = buffers.read(&file, from as u64..content.len() as u64, memory).expect("read");
            assert_eq!(read.concat(), content[from..]);
            assert!(transfers.turn(TaskNumber(2), 1).now_or_never().is_none(), "all of the memory is in use");
            drop(read);
            used.extend(places(&buffers));
        }
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 4, "as many were made as were in use at once");
    }

    #[tokio::test]
    async fn memory_is_returned_with_the_last_slice_of_its_content() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![1; 2 * PIECE]).expect("written");
        let (transfers, buffers) = (transfers(2), Buffers::new(2));
        let memory = memory(&transfers, 2).await;
        let mut read = buffers.read(&file, 0..2 * PIECE as u64, memory).expect("read");
        let last = read.pop().expect("two").slice(10..20);
        drop(read);
        let mut next = Box::pin(transfers.turn(TaskNumber(2), 1));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(last, [1; 10][..]);
        drop(last);
        assert!(next.now_or_never().is_some());
        assert_eq!(buffers.idle(), 2);
    }

    #[tokio::test]
    async fn reading_a_file_that_is_too_short_returns_the_memory() {
        let (transfers, buffers) = (transfers(2), Buffers::new(2));
        let file = tempfile::tempfile().expect("a file");
        assert!(buffers.read(&file, 0..10, memory(&transfers, 1).await).is_err());
        assert!(transfers.turn(TaskNumber(2), 2).now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_number_of_unused_pieces_is_limited() {
        let (transfers, buffers) = (transfers(2), Buffers::new(1));
        let memory = Arc::new(memory(&transfers, 1).await);
        let both = (buffers.lend(&memory), buffers.lend(&memory));
        drop(both);
        assert_eq!(buffers.idle(), 1);
    }
}
