//! A long wire: what goes in at one end comes out later at the other.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much is taken from a socket at a time.
const CHUNK: usize = 16 * 1024;

/// How many of these may be under way in one direction: with the size of each, 4 MiB. Whoever sends
/// more has to wait, as on any wire.
const UNDER_WAY: usize = 256;

/// Carries everything both ways, so much later, until both directions have ended or one has failed.
pub(crate) async fn carry(
    near: &mut TcpStream,
    far: &mut TcpStream,
    delay: Duration,
) -> io::Result<()> {
    let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
    tokio::try_join!(one_way(from_near, to_far, delay), one_way(from_far, to_near, delay))?;
    Ok(())
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let (sender, mut under_way) = mpsc::channel(UNDER_WAY);
    let take = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let length = from.read_buf(&mut chunk).await?;
            // What holds little is not to take the room of a whole chunk.
            chunk.shrink_to_fit();
            // An empty one says that no more comes, and takes as long as all others.
            let sent = sender.send((Instant::now() + delay, chunk)).await;
            if length == 0 || sent.is_err() {
                return Ok(());
            }
        }
    };
    let give = async move {
        while let Some((when, chunk)) = under_way.recv().await {
            sleep_until(when).await;
            if chunk.is_empty() {
                break;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(take, give)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::{sleep, timeout};

    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    // The clock of these tests stands still until all tasks wait for it.

    #[tokio::test(start_paused = true)]
    async fn everything_arrives_in_order_and_so_much_later() -> io::Result<()> {
        let ((mut near, from), (to, mut far)) = (duplex(64), duplex(64));
        let wire = tokio::spawn(one_way(from, to, DELAY));
        let sender = tokio::spawn(async move {
            for number in 0..200_u8 {
                near.write_all(&[number]).await?;
                sleep(Duration::from_millis(1)).await;
            }
            near.shutdown().await
        });
        let since = Instant::now();
        for number in 0..200 {
            assert_eq!(far.read_u8().await?, number);
            assert_eq!(since.elapsed(), DELAY + Duration::from_millis(number.into()));
        }
        // The end is as late as the rest.
        assert!(far.read_u8().await.is_err());
        assert_eq!(since.elapsed(), DELAY + Duration::from_millis(200));
        sender.await??;
        wire.await?
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_under_way_than_there_is_room_for() -> io::Result<()> {
        let ((mut near, from), (to, mut far)) = (duplex(CHUNK), duplex(CHUNK));
        let wire = tokio::spawn(one_way(from, to, DELAY));
        let mut taken = 0;
        let fill = async {
            while let Ok(length @ 1..) = near.write(&[0; CHUNK]).await {
                taken += length;
            }
        };
        // Nobody reads at the other end.
        let filled = timeout(Duration::from_secs(3600), fill).await;
        assert!(filled.is_err());
        assert!(taken >= CHUNK * UNDER_WAY, "{taken}");
        // Besides what is under way: a chunk in each hand, and one in each socket.
        assert!(taken <= CHUNK * (UNDER_WAY + 4), "{taken}");
        near.shutdown().await?;
        let mut all = Vec::new();
        assert_eq!(far.read_to_end(&mut all).await?, taken);
        wire.await?
    }
}
