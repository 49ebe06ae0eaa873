//! The links between servers, over whole networks in this process.

mod asking;
mod site;
