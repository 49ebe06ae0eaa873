//! The command `depot-client`.

use depot_client::app::{self, Exit, Face};

fn main() -> Exit {
    app::run(std::env::args_os(), Face::Prompt)
}
