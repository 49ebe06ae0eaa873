use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWrite, DuplexStream, duplex};

use super::*;

const STALL: Duration = Duration::from_secs(5);

fn pair(buffer: usize) -> (Wire, Wire) {
    let (near, far) = duplex(buffer);
    (Wire::new(Box::new(near)), Wire::new(Box::new(far)))
}

async fn hears(wire: &mut Wire) -> Bytes {
    match wire.receive(FRAME_MAX).await.unwrap() {
        Frame::Said(body) => body,
        Frame::Refused(why) => panic!("refused: {why}"),
    }
}

/// Counts the writes.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> std::task::Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_frame_is_one_write_whatever_its_size() {
    let (near, far) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut near = Wire::new(Box::new(Counted(near, Arc::clone(&writes))));
    let mut far = Wire::new(Box::new(far));
    let long = vec![5; 256 << 10];
    let frames: [&[&[u8]]; 4] = [&[], &[b"a", b"", b"bc"], &[b"head", &long], &[b"", &long, b""]];
    for (count, parts) in frames.into_iter().enumerate() {
        near.send(parts, STALL).await.unwrap();
        assert_eq!(writes.load(Ordering::SeqCst), count + 1);
        assert_eq!(hears(&mut far).await, parts.concat());
    }
}

#[tokio::test]
async fn the_longest_frame_arrives_through_a_narrow_pipe() {
    let (mut near, mut far) = pair(1000);
    let longest: Vec<u8> = (0..FRAME_MAX).map(|at| at as u8).collect();
    let parts: [&[u8]; 2] = [&longest[..7], &longest[7..]];
    let (sent, heard) = tokio::join!(near.send(&parts, STALL), hears(&mut far));
    sent.unwrap();
    assert!(heard == longest);
    assert!(near.is_fresh() && far.is_fresh());
}

#[tokio::test]
async fn a_longer_frame_is_neither_sent_nor_taken() {
    let (mut near, mut far) = pair(64);
    let error = near.send(&[&vec![0; FRAME_MAX + 1]], STALL).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(near.is_fresh(), "nothing of it was sent");
    near.stream.write_all(&(FRAME_MAX as u32 + 1).to_le_bytes()).await.unwrap();
    let error = far.receive(FRAME_MAX).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(far.inbox.capacity() <= READ);
}

#[tokio::test]
async fn an_announced_length_takes_no_memory_before_its_bytes_are_there() {
    let (mut near, mut far) = pair(1 << 20);
    near.stream.write_all(&(FRAME_MAX as u32).to_le_bytes()).await.unwrap();
    for arrived in [0, 1 << 10, 300 << 10, 600 << 10] {
        near.stream.write_all(&vec![0; arrived]).await.unwrap();
        assert!(timeout(Duration::ZERO, far.receive(FRAME_MAX)).await.is_err());
        let (has, holds) = (far.inbox.len(), far.inbox.capacity());
        assert!(holds <= 2 * has + GROW + READ, "{holds} for {has}");
    }
}

#[tokio::test]
async fn pieces_stay_as_they_are_while_others_come() {
    const PIECE: usize = 256 << 10;
    let (mut near, mut far) = pair(64 << 10);
    let send = async {
        for number in 0..12_u8 {
            near.send(&[&[7], &vec![number; PIECE]], STALL).await.unwrap();
        }
    };
    let take = async {
        let mut held = Vec::new();
        for number in 0..12_u8 {
            let piece = hears(&mut far).await;
            held.push((number, piece));
            if held.len() == 3 {
                let (number, piece) = held.remove(0);
                assert!(piece.len() == 1 + PIECE && piece[1..].iter().all(|it| *it == number));
            }
        }
    };
    tokio::join!(send, take);
}

#[tokio::test]
async fn a_receive_that_was_given_up_loses_nothing() {
    let (mut near, mut far) = pair(64);
    let frame = [&7_u32.to_le_bytes()[..], b"payload"].concat();
    for byte in frame {
        assert!(timeout(Duration::ZERO, far.receive(FRAME_MAX)).await.is_err());
        near.stream.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(hears(&mut far).await, "payload");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_stalls_ends_and_nothing_can_follow_it() {
    let (mut near, _far) = pair(64);
    let before = tokio::time::Instant::now();
    let error = near.send(&[&[0; 1000]], STALL).await.unwrap_err();
    assert_eq!((error.kind(), before.elapsed()), (io::ErrorKind::TimedOut, STALL));
    assert!(!near.is_fresh());
    let error = near.send(&[b"more"], STALL).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn who_is_gone_or_says_what_was_not_asked_for_is_not_fresh() {
    let (mut near, far) = pair(64);
    assert!(near.is_fresh());
    drop(far);
    assert!(!near.is_fresh());
    let (mut near, mut far) = pair(64);
    far.refuse("stopping", STALL).await.unwrap();
    assert!(!near.is_fresh());
}

#[tokio::test]
async fn a_refusal_is_short_and_is_no_answer() {
    let (mut near, mut far) = pair(4096);
    near.refuse(&"é".repeat(1000), STALL).await.unwrap();
    let Frame::Refused(why) = far.receive(FRAME_MAX).await.unwrap() else { panic!("it is one") };
    assert_eq!(why, "é".repeat(REFUSAL_MAX / 2));
}
