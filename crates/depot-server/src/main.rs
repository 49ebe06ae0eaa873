//! The command `depot-server`.

use depot_server::cli::{self, Action};
use depot_server::exit::Exit;
use depot_server::run;

fn main() -> Exit {
    match cli::parse() {
        Ok(Action::Run(start)) => run::run(start),
        Ok(Action::CheckConfig(file)) => cli::check_config(&file),
        Ok(Action::Operate(file, operation)) => cli::operate(&file, &operation),
        Err(refusal) => refusal.report(),
    }
}
