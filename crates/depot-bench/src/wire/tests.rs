//! The client against a server of a few lines that answers what the test says.

use tokio::net::TcpListener;

use super::*;

fn key(size: u64) -> FileKey {
    FileKey { session: 1, series: 2, number: 3, size }
}

/// A server for one connection: takes `expected`, then sends `answer` and closes.
async fn server(expected: Vec<u8>, answer: Vec<u8>) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; expected.len()];
        stream.read_exact(&mut received).await.unwrap();
        assert!(received == expected, "another request than expected");
        stream.write_all(&answer).await.unwrap();
    });
    Connection::open(&address, 1 << 30).await.unwrap()
}

const ID: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";

fn client() -> ClientId {
    ClientId::parse(ID).unwrap()
}

fn name() -> FileName {
    FileName::parse("n").unwrap()
}

fn file(size: u64) -> (Vec<u8>, Digest) {
    let mut content = Content::new(size, 1);
    let mut file = Vec::new();
    while (file.len() as u64) < size {
        file.extend_from_slice(content.block(key(size), file.len() as u64));
    }
    let hash = digest(Sha256::new_with_prefix(&file));
    (file, hash)
}

#[tokio::test]
async fn a_first_connection_brings_an_id() {
    let answer = format!("resultado:1|id_cliente:{ID}\n").into_bytes();
    let mut connection = server(b"id_cliente:\n".to_vec(), answer).await;
    assert_eq!(connection.first_connection().await.unwrap(), client());
}

#[tokio::test]
async fn a_small_file_goes_with_its_hash_before_it() {
    let (payload, hash) = file(100);
    let header = format!(
        "id_cliente:{ID}|qtd_replicas:0|tamanho_arquivo:100|hash_arquivo:{hash}|nome_arquivo:n\n"
    );
    let answer = format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}\n");
    let request = [header.as_bytes(), &payload].concat();
    let mut connection = server(request, answer.into_bytes()).await;
    let mut content = Content::new(100, 1);
    let sent = connection.deposit(client(), name(), 0, &mut content, key(100)).await.unwrap();
    connection.deposited(sent).await.unwrap();
}

#[tokio::test]
async fn a_large_file_goes_with_its_hash_behind_it() {
    let size = 2 * BLOCK as u64 + 5;
    let (payload, hash) = file(size);
    let header = format!(
        "id_cliente:{ID}|qtd_replicas:0|tamanho_arquivo:{size}|hash_arquivo:depois|nome_arquivo:n\n"
    );
    let last = format!("hash_arquivo:{hash}\n");
    let answer = format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}\n");
    let request = [header.as_bytes(), &payload, last.as_bytes()].concat();
    let mut connection = server(request, answer.into_bytes()).await;
    let mut content = Content::new(size, 1);
    let sent = connection.deposit(client(), name(), 0, &mut content, key(size)).await.unwrap();
    connection.deposited(sent).await.unwrap();
}

async fn recover(mut connection: Connection) -> Result<Recovered> {
    connection.recover(client(), name()).await?;
    connection.recovered().await
}

#[tokio::test]
async fn a_recovered_file_is_checked() {
    let (payload, hash) = file(500_000);
    let header = format!("resultado:1|tamanho_arquivo:500000|hash_arquivo:{hash}|leitura:local\n");
    let request = format!("id_cliente:{ID}|nome_arquivo:n\n").into_bytes();
    let answer = [header.as_bytes(), &payload].concat();
    let connection = server(request.clone(), answer.clone()).await;
    let recovered = recover(connection).await.unwrap();
    assert_eq!((recovered.size, recovered.stamp), (500_000, key(500_000).stamp(0)));

    let mut flipped = answer.clone();
    flipped[400_000] ^= 1;
    assert!(recover(server(request.clone(), flipped).await).await.is_err());

    let cut = answer[..400_000].to_vec();
    assert!(recover(server(request, cut).await).await.is_err());
}

#[tokio::test]
async fn a_refusal_is_an_error_that_shows_the_answer() {
    let answer = b"resultado:0|erro:sem_espaco|mensagem:no room\n".to_vec();
    let connection = server(format!("id_cliente:{ID}|nome_arquivo:n\n").into_bytes(), answer).await;
    let error = recover(connection).await.err().unwrap();
    assert!(format!("{error:#}").contains("sem_espaco"));
}

#[tokio::test]
async fn requests_may_be_sent_before_the_answers_are_read() {
    let (payload, hash) = file(100);
    let header = format!(
        "id_cliente:{ID}|qtd_replicas:2|tamanho_arquivo:100|hash_arquivo:{hash}|nome_arquivo:n\n"
    );
    let recover = format!("id_cliente:{ID}|nome_arquivo:n\n");
    let request = [header.as_bytes(), &payload, recover.as_bytes()].concat();
    let done = format!("resultado:1|qtd_replicas:2|copias:1|hash_arquivo:{hash}\n");
    let head = format!("resultado:1|tamanho_arquivo:100|hash_arquivo:{hash}\n");
    let answer = [done.as_bytes(), head.as_bytes(), &payload].concat();
    let mut connection = server(request, answer).await;
    let mut content = Content::new(100, 1);
    let sent = connection.deposit(client(), name(), 2, &mut content, key(100)).await.unwrap();
    connection.recover(client(), name()).await.unwrap();
    connection.deposited(sent).await.unwrap();
    assert_eq!(connection.recovered().await.unwrap().size, 100);
}
