//! The depot server: takes files over TCP, keeps them durably, gives them back.
//!
//! The floors, lower never imports upper (ARCHITECTURE.md tells the whole story):
//!
//! ```text
//! 0  seams  config  telemetry  tasks  buffers        the world, and how much of it we use
//! 1  volume  home  aborts                            payloads on disk; the data folder
//! 2  cluster                                         who is there, and connections to them
//! 3  catalogue  operator                             who deposited what; what operators ask
//! 4  custody  uploads  turns  pace  start_number  transfer  depot     what the stories share
//! 5  deposit  recover  records  edit  repair         the stories; none imports another
//! 6  session  listener                               connections
//! 7  node                                            puts it together
//! 8  cli  exit  run  main                            the command
//! ```

pub mod aborts;
pub mod buffers;
pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod custody;
pub mod deposit;
pub mod depot;
pub mod edit;
pub mod exit;
pub mod home;
pub mod intake;
pub mod lingering;
pub mod listener;
pub mod node;
pub mod operator;
pub mod pace;
pub mod records;
pub mod recover;
pub mod repair;
pub mod run;
pub mod seams;
pub mod session;
pub mod start_number;
pub mod tasks;
pub mod telemetry;
pub mod transfer;
pub mod turns;
pub mod uploads;
pub mod volume;
