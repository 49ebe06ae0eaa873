//! The client's programs as people and scripts use them: one-shot, at the prompt, by the menu.

mod codes;
mod desk;
mod hostile;
mod identities;
mod menu;
mod one_shot;
mod prompt;
mod relay;
mod terminal;
