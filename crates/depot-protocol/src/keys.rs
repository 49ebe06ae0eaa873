//! The keys of the wire and the few fixed words among their values.

/// `id_cliente`
pub const CLIENT: &str = "id_cliente";
/// `qtd_replicas`
pub const REPLICAS: &str = "qtd_replicas";
/// `copias`
pub const COPIES: &str = "copias";
/// `tamanho_arquivo`
pub const SIZE: &str = "tamanho_arquivo";
/// `hash_arquivo`
pub const HASH: &str = "hash_arquivo";
/// `hash_parcial`
pub const PARTIAL: &str = "hash_parcial";
/// `nome_arquivo`
pub const NAME: &str = "nome_arquivo";
/// `deslocamento`
pub const OFFSET: &str = "deslocamento";
/// `comando`
pub const COMMAND: &str = "comando";
/// `limite`
pub const LIMIT: &str = "limite";
/// `apos`
pub const AFTER: &str = "apos";
/// `resultado`
pub const RESULT: &str = "resultado";
/// `erro`
pub const ERROR: &str = "erro";
/// `mensagem`
pub const MESSAGE: &str = "mensagem";
/// `depositado`
pub const DEPOSITED: &str = "depositado";
/// `itens`
pub const ITEMS: &str = "itens";
/// `mais`
pub const MORE: &str = "mais";
/// `versao`
pub const VERSION: &str = "versao";
/// `servidor`
pub const SERVER: &str = "servidor";
/// `endereco`
pub const ADDRESS: &str = "endereco";
/// `ativo`
pub const ACTIVE: &str = "ativo";
/// `leitura`
pub const READING: &str = "leitura";

/// The value of `hash_arquivo` that puts the hash behind the payload.
pub const LAST: &str = "depois";
/// The value of `leitura` of an answer from what one server has, without a majority.
pub const LOCAL: &str = "local";
/// What a hash line begins with.
pub const HASH_LINE_PREFIX: &[u8; 13] = b"hash_arquivo:";

const ALL: [&str; 22] = [
    CLIENT, REPLICAS, COPIES, SIZE, HASH, PARTIAL, NAME, OFFSET, COMMAND, LIMIT, AFTER, RESULT,
    ERROR, MESSAGE, DEPOSITED, ITEMS, MORE, VERSION, SERVER, ADDRESS, ACTIVE, READING,
];

/// The key of that spelling, as text of our own: safe to repeat in a message.
pub(crate) fn known(key: &str) -> Option<&'static str> {
    ALL.into_iter().find(|&k| k == key)
}

/// Whether the value of this key runs to the end of the line, `|` and `:` included.
pub(crate) fn runs_to_the_end(key: &str) -> bool {
    matches!(key, NAME | AFTER | MESSAGE)
}

/// Whether a key may hold this byte: `a-z` and `_`.
pub(crate) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'_'
}
