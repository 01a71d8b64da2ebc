//! What a wire lets through.

use std::io;

use engine_harness::{Proxy, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_comes_through_a_silent_wire() -> io::Result<()> {
    let server = TcpListener::bind(("127.0.0.1", 0)).await?;
    let proxy = Proxy::to(server.local_addr()?).await?;
    for round in 0..500 {
        let mut near = TcpStream::connect(proxy.address).await?;
        let (mut far, _) = server.accept().await?;
        near.write_all(b"a").await?;
        assert_eq!(far.read_u8().await?, b'a');
        proxy.set(Wire::Silent).await;
        near.write_all(b"b").await?;
        // The connection ends with this.
        proxy.set(Wire::Whole).await;
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "round {round}: {rest:?}");
    }
    Ok(())
}
