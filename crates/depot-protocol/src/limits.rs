//! Every bound that the protocol names. Each is checked before memory is taken for what it bounds.

/// The longest line in bytes, its LF (and CR) included, in both directions.
pub const LINE_MAX: usize = 4096;

/// The longest file name in bytes, and the longest `apos`.
pub const NAME_MAX: usize = 1024;

/// The longest server name in bytes.
pub const SERVER_NAME_MAX: usize = 63;

/// The longest `endereco` in bytes: a host name of 253, a port, and room for brackets and a scope.
pub const ADDRESS_MAX: usize = 512;

/// The longest `mensagem` in bytes; a longer one is cut, so that its line always fits [`LINE_MAX`].
pub const MESSAGE_MAX: usize = 1024;

/// The most items in one answer to `listar`.
pub const LIST_MAX: usize = 1000;

/// The most servers in one answer to `estado`.
pub const SERVERS_MAX: usize = 256;

/// The largest file in bytes: 2^63 - 1.
pub const FILE_SIZE_MAX: u64 = 9_223_372_036_854_775_807;

/// The longest hash line in bytes: its key, the colon, 64 digits, CR and LF.
pub const HASH_LINE_MAX: usize = 79;

/// What a refused deposit may still owe, hash line included, for its connection to stay open.
pub const SKIP_LIMIT: u64 = 1 << 20;

/// How many bytes a server reads and drops after an answer that closes the connection.
pub const DRAIN_LIMIT: u64 = 64 << 20;

/// How many answers a [`ClientCodec`](crate::ClientCodec) can be told to expect at a time.
pub const PIPELINE_MAX: usize = 256;
