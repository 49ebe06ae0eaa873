use super::*;

fn record() -> Record {
    let server = |name: &str| HolderId::Server(ServerName::parse(name).unwrap());
    Record {
        version: Version(300),
        digest: Digest::EMPTY,
        size: FileSize::new(1 << 40).unwrap(),
        replicas: ReplicaCount::new(2),
        deposited: UtcSeconds::new(1_795_000_000),
        holders: vec![
            Holder {
                who: server("a"),
                state: HolderState::Confirmed { incarnation: Incarnation(7) },
            },
            Holder { who: server("b-2"), state: HolderState::Wanted },
            Holder {
                who: HolderId::Guest([0xEE; 16]),
                state: HolderState::Confirmed { incarnation: Incarnation(0) },
            },
        ],
        operation: OperationId([0x11; 16]),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Rows that the first release wrote. They must be read for ever: don't change them to make the
/// test pass.
const RECORD: &str = "01ac02e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8558080808080\
     2002c08df6d7060300016101070003622d320001eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee01001111\
     11111111111111111111111111111a94bea932fce955";
const SERVER_OF_FORMAT_1: &str = "0107e8073a699ec62f626b19";
const SERVER: &str = "0207e807011e2b12ec9df90a22";
const IDENTITY: &str = "01c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1016107e3c49ca86e4300f0";
const NUMBER: &str = "01882703e51257853b89dc";

#[test]
fn rows_written_today_are_read_tomorrow() {
    let server = Server { incarnation: Incarnation(7), sweep: SweepNumber(1000), away: true };
    let identity = Identity {
        cluster: [0xC1; 16],
        server: ServerName::parse("a").unwrap(),
        incarnation: Incarnation(7),
    };
    assert_eq!(hex(&record().seal(b"key")), RECORD);
    assert_eq!(Record::unseal(b"key", &unhex(RECORD)).unwrap(), record());
    assert_eq!(hex(&server.seal(b"a")), SERVER);
    assert_eq!(Server::unseal(b"a", &unhex(SERVER)).unwrap(), server);
    let back = Server { away: false, ..server };
    assert_eq!(Server::unseal(b"a", &unhex(SERVER_OF_FORMAT_1)).unwrap(), back);
    assert_eq!(hex(&identity.seal(b"identity")), IDENTITY);
    assert_eq!(Identity::unseal(b"identity", &unhex(IDENTITY)).unwrap(), identity);
    assert_eq!(hex(&5_000_u64.seal(b"applied")), NUMBER);
    assert_eq!(u64::unseal(b"applied", &unhex(NUMBER)).unwrap(), 5_000);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let row = record().seal(b"key");
    for bit in 0..row.len() * 8 {
        let mut rotten = row.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::unseal(b"key", &rotten).is_err(), "bit {bit}");
    }
}

#[test]
fn a_row_under_another_key_is_not_taken_for_its_own() {
    assert!(Record::unseal(b"kez", &record().seal(b"key")).is_err());
}

#[test]
fn a_row_cut_anywhere_is_noticed() {
    let row = record().seal(b"key");
    for len in 0..row.len() {
        assert!(Record::unseal(b"key", &row[..len]).is_err(), "{len} bytes");
    }
}

/// A row of some body with a right checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &checksum(b"key", body).to_le_bytes()].concat()
}

#[test]
fn a_row_of_a_later_format_is_refused_by_name() {
    let error = u64::unseal(b"key", &sealed(&[2, 0])).unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn a_row_with_more_than_its_value_is_refused() {
    assert_eq!(u64::unseal(b"key", &sealed(&[FORMAT, 5])).unwrap(), 5);
    assert!(u64::unseal(b"key", &sealed(&[FORMAT, 5, 0])).is_err());
    assert!(u64::unseal(b"key", &sealed(&[FORMAT])).is_err());
    assert!(u64::unseal(b"key", &sealed(&[])).is_err());
}
