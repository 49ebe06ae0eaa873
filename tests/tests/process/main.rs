//! RELIABILITY.md, section 3 E, what a server process and its disk do to a depot of one: rotten
//! and planted copies (rows 82, 83), strange data folders (84 to 88), a second server (89, 90),
//! signals (91), and the command line's part of it.

mod command_line;
mod configuration;
mod copies;
mod data_folder;
mod signals;
